"""The limit of one Python process: fetched by httpx and stored into syncd's own tables at once, durably, unproved.

It decodes and writes as syncd does, by syncd's own functions, a commit for what came meanwhile. It compares nothing,
proves nothing whole, tells nobody, waits out no limit and would not know where to go on after a crash.
"""

import asyncio
import json
import sys
import threading
import time
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import httpx
import msgspec

from benchmarks.fetching import HEADERS, Walk
from benchmarks.server import PREFIX
from syncd.core.model import Row
from syncd.sources.opentrain_parse import parse_conversation
from syncd.sources.opentrain_usual import USUAL_PAGE, read_page
from syncd.store.index import find_new_texts, index_texts
from syncd.store.migrate import open_writer
from syncd.store.rows import upsert

_NOW = "2026-03-02T00:00:00.000Z"
_MOST_AT_ONCE = 64

Waiting = Queue[list[Row] | None]


def store(path: Path, waiting: Waiting) -> None:
    """Write what waits, until None comes."""
    with open_writer(path) as writer:
        goes_on = True
        while goes_on:
            batch = [waiting.get()]
            while len(batch) < _MOST_AT_ONCE and batch[-1] is not None:
                try:
                    batch.append(waiting.get_nowait())
                except Empty:
                    break
            goes_on = batch[-1] is not None
            with writer.transaction() as database:
                texts = []
                for rows in filter(None, batch):
                    texts += find_new_texts(database, "bench", rows, _NOW)
                    upsert(database, "bench", rows, now=_NOW, change_id=1)
                index_texts(database, texts)


async def fetch(port: int, in_flight: int, waiting: Waiting) -> int:
    """Every page once, handed on as rows; how many messages came."""
    base, verify = f"http://127.0.0.1:{port}{PREFIX}", httpx.create_ssl_context()
    clients = [httpx.AsyncClient(headers=HEADERS, verify=verify, trust_env=False) for _ in range(in_flight)]
    walk = Walk()

    async def labour(client: httpx.AsyncClient) -> None:
        async def ask(target: str) -> dict[str, Any]:
            content = (await client.get(base + target)).content
            if "conversationId=" not in target:
                body: dict[str, Any] = msgspec.json.decode(content)
                waiting.put([parse_conversation(entry) for entry in body["conversations"]])
                return body
            id_ = target.partition("conversationId=")[2].partition("&")[0]
            page = read_page(USUAL_PAGE.decode(content), id_, limit=100, server_time=_NOW)
            waiting.put(list(page.messages))
            return {"messages": page.messages, "nextCursor": page.next_cursor}

        async with client:
            await walk.labour(ask)

    await asyncio.gather(*map(labour, clients))
    return walk.messages


def main() -> None:
    """`PORT IN_FLIGHT TARGET`; prints what it took, without the interpreter's start."""
    waiting: Waiting = Queue()
    began, cpu = time.perf_counter(), time.process_time()
    writer = threading.Thread(target=store, args=(Path(sys.argv[3]), waiting))
    writer.start()
    messages = asyncio.run(fetch(int(sys.argv[1]), int(sys.argv[2]), waiting))
    waiting.put(None)
    writer.join()
    took = {"seconds": time.perf_counter() - began, "cpu": time.process_time() - cpu, "messages": messages}
    sys.stdout.write(json.dumps(took))


if __name__ == "__main__":
    main()

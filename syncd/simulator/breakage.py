"""What a fault does to an exchange."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

from syncd.simulator.exchange import Answer, Exchange
from syncd.simulator.problems import Problem, invalid
from syncd.simulator.records import Json

Action = Callable[[Exchange], Awaitable[None]]
_PAGE = b"<!DOCTYPE html>\n<html><head><title>%d</title></head><body><center><h1>%d</h1></center></body></html>\n"


def _problem(problem: Problem, *headers: tuple[bytes, bytes]) -> Answer:
    return Answer(problem.status, json.dumps(problem.to_json("req_fault")).encode(), list(headers))


def rate_limit(retry_after: Any, where: str) -> Action:
    """429 with the wait where it is asked for."""
    details = {"retryAfterSeconds": retry_after} if where == "details" else None
    headers = [(b"retry-after", str(retry_after).encode())] if where == "header" else []
    return _always(_problem(Problem(429, "Too many requests", details=details), *headers))


def error(code: int, reason: str | None) -> Action:
    """An error of the API."""
    details = {"reason": reason} if reason else None
    return _always(_problem(Problem(code, f"Simulated error {code}", details=details)))


def page(status: int) -> Action:
    """An HTML page."""
    return _always(Answer(status, _PAGE % (status, status), [(b"content-type", b"text/html")]))


def body(data: Any, status: int) -> Action:
    """A body of one's own."""
    return _always(Answer(status, data if isinstance(data, bytes) else json.dumps(data).encode()))


def _always(answer: Answer) -> Action:
    async def deliver(exchange: Exchange) -> None:
        await exchange.deliver(answer)

    return deliver


def delay(seconds: float) -> Action:
    """The right answer after so many seconds."""

    async def wait(exchange: Exchange) -> None:
        await exchange.while_connected(asyncio.sleep(seconds))
        await exchange.deliver(await exchange.ask())

    return wait


async def stall(exchange: Exchange) -> None:
    """Nothing, until the client gives up."""
    await exchange.wait_until_gone()


async def reset(exchange: Exchange) -> None:
    """A reset before anything is done."""
    await exchange.reset()


async def reset_midway(exchange: Exchange) -> None:
    """Half a body, then a reset."""
    await exchange.send_half(await exchange.ask())
    await exchange.reset(after_half=True)


async def truncate(exchange: Exchange) -> None:
    """Half a body, then the connection's end."""
    await exchange.send_half(await exchange.ask())
    await exchange.close()


async def lose_reply(exchange: Exchange) -> None:
    """Everything done, and a reset instead of the reply."""
    await exchange.ask()
    await exchange.reset()


async def cut_json(exchange: Exchange) -> None:
    """Half of the JSON as if it were all."""
    answer = await exchange.ask()
    await exchange.deliver(Answer(answer.status, answer.body[: len(answer.body) // 2], answer.headers))


async def repeat_cursor(exchange: Exchange) -> None:
    """The cursor sent comes back."""
    await _change(exchange, lambda answer: answer | {"nextCursor": exchange.record.query.get("cursor")})


def cycle_cursor() -> Action:
    """Cursors A, B, A, B …; one fault keeps its own two."""
    seen: list[str] = []

    async def cycle(exchange: Exchange) -> None:
        await _change(exchange, turn)

    def turn(answer: Json) -> Json:
        if len(seen) > 1:
            seen.append(seen[-2])
        elif answer.get("nextCursor") is not None:
            seen.append(answer["nextCursor"])
        return answer | {"nextCursor": seen[-1] if seen else None}

    return cycle


async def dead_cursor(exchange: Exchange) -> None:
    """400, as for a cursor that expired."""
    await exchange.deliver(_problem(invalid("cursor", "Invalid cursor")))


async def null_cursor(exchange: Exchange) -> None:
    """The walk seems to end here."""
    await _change(exchange, lambda answer: answer | {"nextCursor": None})


async def empty_page(exchange: Exchange) -> None:
    """Every list empty, every cursor null."""
    await _change(
        exchange, lambda answer: {key: [] if isinstance(value, list) else None for key, value in answer.items()}
    )


def rewrite(pattern: bytes, into: bytes, count: int) -> Action:
    """Other bytes in the right answer, which thereby is another version of itself."""

    async def change(exchange: Exchange) -> None:
        answer = await exchange.ask()
        body, found = re.subn(pattern, lambda _: into, answer.body, count=count)
        headers = [(name, value) for name, value in answer.headers if not found or name != b"etag"]
        await exchange.deliver(Answer(answer.status, body, headers))

    return change


async def _change(exchange: Exchange, change: Callable[[Json], Json]) -> None:
    answer = await exchange.ask()
    if answer.status < 300:  # noqa: PLR2004 - HTTP's own border between success and the rest
        answer = answer.replaced(change(json.loads(answer.body)))
    await exchange.deliver(answer)

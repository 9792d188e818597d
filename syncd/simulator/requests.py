"""What was asked of the server, for tests to read."""

import re
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from syncd.simulator.records import Json


@dataclass
class RequestRecord:
    """One request: `at` in monotonic seconds, `path` after the API's prefix; no `status`: no whole answer went out."""

    at: float
    method: str
    path: str
    query: dict[str, str]
    token_id: str | None
    body: Json | None = None
    status: int | None = None
    fault: str | None = None
    done: bool = False

    @property
    def conversation_id(self) -> str | None:
        """The conversation that the query or the body names."""
        return self.query.get("conversationId") or (self.body or {}).get("conversationId")

    @property
    def lists(self) -> bool:
        """Whether it asks for the conversation list."""
        return self.method == "GET" and self.path == "/messages" and "conversationId" not in self.query

    def to_json(self) -> Json:
        """The record as plain data."""
        return asdict(self)


@dataclass(frozen=True)
class Match:
    """Which requests are meant; None: any. `path` is a regular expression searched in the path."""

    method: str | None = None
    path: str | None = None
    conversation: str | None = None
    proposal: str | None = None
    direction: str | None = None
    has_cursor: bool | None = None
    listing: bool | None = None
    token: str | None = None
    status: int | None = None

    def fits(self, record: RequestRecord) -> bool:
        """Whether a request is one of those."""
        proposal = re.fullmatch(r"/proposals/([^/]+)(/.*)?", record.path)
        return (
            self.method in (None, record.method)
            and (self.path is None or re.search(self.path, record.path) is not None)
            and self.conversation in (None, record.conversation_id)
            and self.proposal in (None, proposal and proposal.group(1))
            and self.direction in (None, record.query.get("direction", "older"))
            and self.has_cursor in (None, "cursor" in record.query)
            and self.listing in (None, record.lists)
            and (self.token is None or f"_{record.token_id}_" in self.token)
            and self.status in (None, record.status)
        )


class RequestLog:
    """Every request in the order of arrival; thread-safe."""

    def __init__(self) -> None:
        self._records: list[RequestRecord] = []
        self._changed = threading.Condition()

    def add(self, record: RequestRecord) -> None:
        """Note an arrival."""
        with self._changed:
            self._records.append(record)

    def finish(self, record: RequestRecord) -> None:
        """Note that a request was answered, or given up."""
        with self._changed:
            record.done = True
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[RequestRecord]:
        return iter(list(self._records))

    def __getitem__(self, index: int) -> RequestRecord:
        return self._records[index]

    def select(self, **match: Any) -> list[RequestRecord]:
        """The requests that fit the fields of `Match`."""
        wanted = Match(**match)
        return [record for record in self if wanted.fits(record)]

    def count(self, **match: Any) -> int:
        """How many requests fit."""
        return len(self.select(**match))

    def clear(self) -> None:
        """Forget everything so far."""
        with self._changed:
            self._records.clear()

    def wait_for(self, count: int, *, timeout: float = 5.0, **match: Any) -> list[RequestRecord]:
        """Block until `count` fitting requests are answered; TimeoutError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while len(found := [record for record in self.select(**match) if record.done]) < count:
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    raise TimeoutError(f"{len(found)} of {count} requests came in {timeout} s")
        return found

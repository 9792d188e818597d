"""What a server answered: a usable answer, or the error that says what to do about it."""

import math
import re
from collections.abc import Callable, Iterable, Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, Final, TypeVar

from msgspec import Struct
from msgspec.json import Decoder

from syncd.core.model import Instant
from syncd.core.times import LONGEST_RATE_LIMIT_SECONDS, render_time, seconds_between
from syncd.errors import (
    AuthError,
    FetchError,
    ForbiddenError,
    NotFoundError,
    ProtocolError,
    RateLimitedError,
    RejectedError,
    UnreachableError,
)
from syncd.sources.fields import parse_json

T = TypeVar("T")

TEXT_LIMIT: Final = 200
"""How many characters of a server's own words an error repeats."""

DEFAULT_RETRY_AFTER: Final = 30.0
"""The wait in seconds where a 429 names none."""

LONGEST_RETRY_AFTER: Final = LONGEST_RATE_LIMIT_SECONDS
"""No wait is longer, in seconds: a server that still refuses will say so again tomorrow."""

_ID_LIMIT: Final = 100
_ETAG_LIMIT: Final = 1000
_SHORTEST_SECRET: Final = 6  # replacing shorter ones would hide ordinary words
_ANY_TOKEN: Final = re.compile(r"ot_pat_\w+", re.ASCII)
_NOT_MODIFIED: Final = 304
_TOO_MANY_REQUESTS: Final = 429
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_PASSING: Final = frozenset({408, 425})  # about this moment and not about the request (RFC 9110 and 8470)
_BY_STATUS: Final[Mapping[int, tuple[type[FetchError], str]]] = {
    401: (AuthError, "the token is refused; give a valid one"),
    403: (ForbiddenError, "the token may not do this; check its scopes and the account"),
    404: (NotFoundError, "there is no such thing"),
}
_BY_CLASS: Final[Mapping[int, tuple[type[FetchError], str]]] = {
    3: (ProtocolError, "the server gives no content; check any proxy or cache on the way"),
    4: (RejectedError, "the server refuses this request"),
}


class Answer(Struct, frozen=True, kw_only=True):
    """A usable answer: its JSON, the server's time, the HTTP status, the request id where the server named one.

    `body` is what the request's decoder made of it, else plain objects and lists. `etag` is the version to name in the
    next request for the same thing. With status 304 nothing has changed since that version, and `body` is None.
    """

    body: Any
    server_time: Instant
    status: int
    request_id: str | None
    etag: str | None = None

    @property
    def is_unchanged(self) -> bool:
        """Whether the version that the request named is still the newest."""
        return self.status == _NOT_MODIFIED


class Reply(Struct, frozen=True, kw_only=True):
    """A whole HTTP response; `request` is its method and path, `secrets` are texts that no error may repeat.

    Names of headers are found in any case.
    """

    request: str
    status: int
    headers: Mapping[str, str]
    body: bytes | bytearray
    secrets: tuple[str, ...]

    def server_time(self, ours: Instant) -> Instant:
        """The server's `Date`, else the time of our own clock."""
        return parse_http_date(self.headers.get("date", "")) or ours


def parse_answer(
    reply: Reply, ours: Instant, *, conditional: bool = False, decoder: Decoder[Any] | None = None
) -> Answer:
    """The answer of a 2xx, or of a 304 to a `conditional` request; raises the FetchError of any other reply.

    `ours` is the time of our clock; `decoder` is tried first on the body.
    """
    if conditional and reply.status == _NOT_MODIFIED:
        return Answer(body=None, server_time=reply.server_time(ours), status=reply.status, request_id=None)
    if reply.status // 100 != 2:  # noqa: PLR2004 - HTTP's own number
        raise refusal(reply, ours)
    try:
        body = parse_json(reply.body, decoder)
    except ValueError:
        raise ProtocolError(
            f"{reply.request} was answered with no JSON ({len(reply.body)} bytes): is the address that of the API?",
            reason="not_json",
            request_id=request_id(reply, None),
            status=reply.status,
        ) from None
    return Answer(
        body=body,
        server_time=reply.server_time(ours),
        status=reply.status,
        request_id=request_id(reply, body),
        etag=_etag(reply),
    )


def parsed(answer: Answer, parse_answer: Callable[[Answer], T]) -> T:
    """What `parse_answer` makes of the answer; an error about its shape carries the id that support asks for."""
    try:
        return parse_answer(answer)
    except ProtocolError as error:
        raise ProtocolError(
            str(error), reason=error.reason, request_id=answer.request_id, status=answer.status
        ) from None


def refusal(reply: Reply, ours: Instant) -> FetchError:
    """The error of a reply that is no 2xx."""
    body = _parse_leniently(reply.body)
    asked_id = request_id(reply, body)
    if reply.status == _TOO_MANY_REQUESTS:
        seconds = retry_after(body, reply.headers.get("retry-after"), reply.server_time(ours))
        return RateLimitedError(
            f"{reply.request}: the server allows no more requests for now; wait {seconds:g} s",
            retry_after=seconds,
            request_id=asked_id,
        )
    if reply.status in _REDIRECTS:
        return ProtocolError(
            f"{reply.request} is redirected to {_target(reply)}: set base_url to where the API really is",
            reason="redirect",
            request_id=asked_id,
            status=reply.status,
        )
    kind, advice = _kind(reply.status)
    words = _words(reply, body)
    return kind(
        f"{reply.request}: {advice} (HTTP {reply.status}{words and ': '}{words})",
        reason=_reason(reply, body),
        said=words,
        request_id=asked_id,
        status=reply.status,
    )


def retry_after(body: Any, header: str | None, server_time: Instant) -> float:
    """Seconds from 0 to a day: the longest wait that the answer or its `Retry-After` header names."""
    found = [*_named_waits(body), _header_wait(header, server_time)]
    waits = [wait for wait in found if wait is not None]
    return min(max(waits), LONGEST_RETRY_AFTER) if waits else DEFAULT_RETRY_AFTER


def clean(text: str, secrets: Iterable[str] = (), limit: int = TEXT_LIMIT) -> str:
    """The text as one short line that is safe for a terminal and a log, without any secret."""
    for secret in secrets:
        if len(secret) >= _SHORTEST_SECRET:
            text = text.replace(secret, "***")
    visible = "".join(sign if sign.isprintable() else " " for sign in _ANY_TOKEN.sub("***", text))
    text = " ".join(visible.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def request_id(reply: Reply, body: Any) -> str | None:
    """What support asks for: the body's `requestId`, else the header's."""
    named = body.get("requestId") if isinstance(body, dict) else None
    text = named if isinstance(named, str) else reply.headers.get("x-request-id", "")
    return clean(text, reply.secrets, _ID_LIMIT) or None


@lru_cache(maxsize=16)
def parse_http_date(text: str) -> Instant | None:
    """The time an HTTP header names, or None."""
    try:
        return render_time(parsedate_to_datetime(text))
    except (ValueError, TypeError, OverflowError):
        return None


def _etag(reply: Reply) -> str | None:
    """The body's version, if it can be sent back as it is."""
    text = reply.headers.get("etag", "")
    return text if text.isascii() and text.isprintable() and 0 < len(text) <= _ETAG_LIMIT else None


def _kind(status: int) -> tuple[type[FetchError], str]:
    """The error's class for an HTTP status, and what to do about it."""
    known = _BY_STATUS.get(status) or (None if status in _PASSING else _BY_CLASS.get(status // 100))
    return known or (UnreachableError, "the server fails; it is asked again later")


def _parse_leniently(body: bytes | bytearray) -> Any:
    try:
        return parse_json(body)
    except ValueError:
        return None  # a gateway's own page is HTML


def _reason(reply: Reply, body: Any) -> str:
    """`details.reason`, else `code`, else a word of ours: the server's words are an open set."""
    if isinstance(body, dict):
        details = body.get("details")
        for named in (details.get("reason") if isinstance(details, dict) else None, body.get("code")):
            if isinstance(named, str) and (word := clean(named, reply.secrets, _ID_LIMIT)):
                return word
    return f"http_{reply.status}"


def _words(reply: Reply, body: Any) -> str:
    """The server's `error` text, and those details that tell a person what to do next."""
    if not isinstance(body, dict):
        return ""
    found = body.get("details")
    details = found if isinstance(found, dict) else {}
    parts = (body.get("error"), details.get("reason"), details.get("policy"), details.get("claimUrl"))
    return "; ".join(clean(part, reply.secrets) for part in parts if isinstance(part, str) and part)


def _target(reply: Reply) -> str:
    """The host a redirect points to and nothing else of it: the rest may hold secrets."""
    location = reply.headers.get("location", "")
    host = re.match(r"(?:https?:)?//(?:[^/?#@]*@)?([\w.\-\[\]:]+)", location, re.ASCII | re.IGNORECASE)
    return host[1] if host else "another place of the same host"


def _named_waits(body: Any) -> list[float | None]:
    """`details.retryAfterSeconds` (POST /messages documentation), or the same beside the error [?]."""
    if not isinstance(body, dict):
        return []
    details = body.get("details")
    inner = details.get("retryAfterSeconds") if isinstance(details, dict) else None
    return [_seconds(inner), _seconds(body.get("retryAfterSeconds"))]


def _header_wait(text: str | None, server_time: Instant) -> float | None:
    """Seconds, or a date (RFC 9110), which counts from the server's own time: a wrong clock here does no harm."""
    if not text:
        return None
    if (seconds := _seconds(text)) is not None:
        return seconds
    until = parse_http_date(text)
    return None if until is None else max(0.0, seconds_between(server_time, until))


def _seconds(value: object) -> float | None:
    """A number or numeric text that can be waited for; None for anything else, negative and not-a-number included."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        seconds = float(value)
    except OverflowError:
        return LONGEST_RETRY_AFTER if not isinstance(value, str) and value > 0 else None
    except ValueError:
        return None
    return None if math.isnan(seconds) or seconds < 0 else seconds

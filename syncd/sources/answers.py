"""What came back: an answer to use, or the error that says what to do about it."""

import re
from collections.abc import Callable, Iterable, Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, Final, TypeVar

from httpx import codes
from msgspec import Struct
from msgspec.json import Decoder

from syncd.core.model import Instant
from syncd.core.times import render_time
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
from syncd.sources.json_text import parse_json
from syncd.sources.retry_after import retry_after

T = TypeVar("T")

TEXT_LIMIT: Final = 200
"""How many characters of a server's own words an error repeats."""

PASSING_CODES: Final = frozenset({408, 425})
"""4xx in number, yet about this moment and not about the request (RFC 9110 and 8470): treated as 5xx are."""

_ID_LIMIT: Final = 100
_ETAG_LIMIT: Final = 1000
_SHORTEST_SECRET: Final = 6  # shorter ones would blot out ordinary words
_ANY_TOKEN: Final = re.compile(r"ot_pat_\w+", re.ASCII)


class Answer(Struct, frozen=True, kw_only=True):
    """JSON that a server gave, and when; `request_id` None where its headers and its body name none.

    `body` is what the request's decoder of the usual shape made of it, else plain objects and lists.

    `etag`: the version to ask against next time. Status 304: nothing has changed since that version, so `body` is None.
    """

    body: Any
    server_time: Instant
    status: int
    request_id: str | None
    etag: str | None = None

    @property
    def is_unchanged(self) -> bool:
        """Whether the version that was asked against is still the newest."""
        return self.status == codes.NOT_MODIFIED


class Reply(Struct, frozen=True, kw_only=True):
    """A whole HTTP response; `request` is its method and path, `secrets` what an error must never repeat."""

    request: str
    status: int
    headers: Mapping[str, str]
    body: bytes
    secrets: tuple[str, ...]

    def server_time(self, ours: Instant) -> Instant:
        """The server's `Date`, else our own clock's time."""
        return parse_http_date(self.headers.get("date", "")) or ours


def parse_answer(
    reply: Reply, ours: Instant, *, conditional: bool = False, usual: Decoder[Any] | None = None
) -> Answer:
    """The answer of a 2xx, or of a 304 to a `conditional` request; raises the FetchError that any other reply is.

    `ours` is our clock's time; `usual` decodes a body of the usual shape.
    """
    if conditional and reply.status == codes.NOT_MODIFIED:
        return Answer(body=None, server_time=reply.server_time(ours), status=reply.status, request_id=None)
    if not codes.is_success(reply.status):
        raise refusal(reply, ours)
    try:
        body = parse_json(reply.body, usual)
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
    """What the answer says; an error of its shape carries the id that support asks for."""
    try:
        return parse_answer(answer)
    except ProtocolError as error:
        raise ProtocolError(
            str(error), reason=error.reason, request_id=answer.request_id, status=answer.status
        ) from None


def refusal(reply: Reply, ours: Instant) -> FetchError:
    """The error that a reply other than 2xx stands for."""
    body = _parse_leniently(reply.body)
    asked_id = request_id(reply, body)
    if reply.status == codes.TOO_MANY_REQUESTS:
        seconds = retry_after(body, reply.headers.get("retry-after"), reply.server_time(ours))
        return RateLimitedError(
            f"{reply.request}: the server allows no more requests for now; wait {seconds:g} s",
            retry_after=seconds,
            request_id=asked_id,
        )
    if codes.is_redirect(reply.status):
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
    """The class of an HTTP status, and what to do about it."""
    known: dict[int, tuple[type[FetchError], str]] = {
        401: (AuthError, "the token is refused; give a valid one"),
        403: (ForbiddenError, "the token may not do this; check its scopes and the account"),
        404: (NotFoundError, "there is no such thing"),
    }
    if status in known:
        return known[status]
    if codes.is_client_error(status) and status not in PASSING_CODES:
        return RejectedError, "the server refuses this request"
    return UnreachableError, "the server fails; it is asked again later"


def _parse_leniently(body: bytes) -> Any:
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

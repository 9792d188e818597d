"""What a server refuses, and how the errors say so."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.errors import (
    AuthError,
    FetchError,
    ForbiddenError,
    NotFoundError,
    ProtocolError,
    RateLimitedError,
    RejectedError,
)
from syncd.sources.answers import DEFAULT_RETRY_AFTER, LONGEST_RETRY_AFTER, retry_after
from syncd.sources.http import PoliteClient

pytestmark = pytest.mark.anyio


OpenClient = Callable[..., AbstractAsyncContextManager[PoliteClient]]
OpenRawServer = Callable[..., AbstractAsyncContextManager[Any]]
Reply = Callable[..., bytes]
TOKEN = "ot_pat_abc_verysecret"
NOW = "2026-06-12T10:00:00.000Z"


async def test_redirect(open_client: OpenClient, raw_server: OpenRawServer, reply: Reply) -> None:
    """A redirect is not followed; the error names the host it points to and nothing else of it."""
    moved = reply(b"", "302 Found", "Location: https://user:pw@elsewhere.example:8443/login?secret=1")
    async with raw_server(moved) as server, open_client(server.url, token=lambda: TOKEN) as client:
        with pytest.raises(ProtocolError, match=r"redirected to elsewhere\.example:8443: set base_url") as caught:
            await client.get_json("/")
        assert (caught.value.reason, caught.value.status, len(server.requests)) == ("redirect", 302, 1)
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RejectedError),
        (401, AuthError),
        (403, ForbiddenError),
        (404, NotFoundError),
        (409, RejectedError),
        (418, RejectedError),
        (429, RateLimitedError),
    ],
)
async def test_refusals(
    open_client: OpenClient, raw_server: OpenRawServer, reply: Reply, status: int, kind: type[FetchError]
) -> None:
    """Each 4xx is an error of its kind with the server's reason and request id, and is not tried again."""
    body = {"error": "No.", "code": "CODE", "requestId": "req_7", "details": {"reason": "because"}}
    async with (
        raw_server(reply(json.dumps(body).encode(), f"{status} No")) as server,
        open_client(server.url) as client,
    ):
        with pytest.raises(kind) as caught:
            await client.get_json("/things")
        expected = "RATE_LIMITED" if status == 429 else "because"
        assert (caught.value.reason, caught.value.request_id, caught.value.status) == (expected, "req_7", status)
        assert (len(server.requests), client.cost.by_status) == (1, {status: 1})


@pytest.mark.parametrize(
    ("body", "reason", "request_id"),
    [
        (b'{"code": "CONFLICT"}', "CONFLICT", "req_header"),
        (b'{"code": 5, "details": [], "requestId": 7}', "http_409", "req_header"),
        (b"<html>", "http_409", "req_header"),
        (b"[]", "http_409", "req_header"),
    ],
)
async def test_odd_refusals(
    open_client: OpenClient, raw_server: OpenRawServer, reply: Reply, body: bytes, reason: str, request_id: str
) -> None:
    """A refusal without details has its code as reason, else the status; the request id may be in a header."""
    async with (
        raw_server(reply(body, "409 Conflict", "X-Request-ID: req_header")) as server,
        open_client(server.url) as client,
    ):
        with pytest.raises(RejectedError) as caught:
            await client.get_json("/")
        assert (caught.value.reason, caught.value.request_id) == (reason, request_id)


async def test_errors_are_safe_to_show(open_client: OpenClient, raw_server: OpenRawServer, reply: Reply) -> None:
    """An error is one printable line that repeats no token, no secret header, no message text, and no long tirade."""
    said = f"token {TOKEN} and ot_pat_old_one, key k3y-secret,\n\x1b[31m'Dear Maria, hello' \u202e" + "x" * 500
    body = {
        "error": said,
        "code": TOKEN,
        "requestId": f"req {TOKEN}",
        "details": {"claimUrl": "https://claim.example/1"},
    }
    async with (
        raw_server(reply(json.dumps(body).encode(), "403 No")) as server,
        open_client(server.url, token=lambda: TOKEN, headers=lambda: {"X-Proxy-Key": "k3y-secret"}) as client,
    ):
        with pytest.raises(ForbiddenError) as caught:
            await client.post_json("/messages", {"content": "Dear Maria, hello"})
        error = caught.value
        shown = f"{error} {error.reason} {error.request_id}"
        assert error.__cause__ is None
        assert not [word for word in (TOKEN, "ot_pat", "k3y-secret", "Dear Maria") if word in shown + repr(client)]
        assert shown.isprintable()
        assert "https://claim.example/1" in shown
        assert len(shown) < 500


@pytest.mark.parametrize("status", [304, 300, 306])
async def test_an_answer_without_content_is_no_redirect(
    open_client: OpenClient, raw_server: OpenRawServer, reply: Reply, status: int
) -> None:
    """A 3xx that points nowhere, such as a 304 that nobody asked for, is named as it is and not called a redirect."""
    async with raw_server(reply(b"", f"{status} Odd")) as server, open_client(server.url) as client:
        with pytest.raises(ProtocolError, match=f"no content.*HTTP {status}") as caught:
            await client.get_json("/")
        assert (caught.value.reason, caught.value.status) == (f"http_{status}", status)
        assert "redirect" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "header", "seconds"),
    [
        ({"details": {"retryAfterSeconds": 7}}, None, 7),
        ({"details": {"retryAfterSeconds": 0.5}}, None, 0.5),
        ({"details": {"retryAfterSeconds": "12.5"}}, None, 12.5),
        ({"retryAfterSeconds": 8}, None, 8),
        (None, "9", 9),
        (None, "Fri, 12 Jun 2026 10:01:30 GMT", 90),
        (None, "Fri, 12 Jun 2026 09:00:00 GMT", 0),
        ({"details": {"retryAfterSeconds": 7}}, "9", 9),
        ({"details": {"retryAfterSeconds": 10}}, "9", 10),
        ({"details": {"retryAfterSeconds": 0}}, None, 0),
        ({"details": {"retryAfterSeconds": -1}}, None, DEFAULT_RETRY_AFTER),
        ({"details": {"retryAfterSeconds": "nan"}}, None, DEFAULT_RETRY_AFTER),
        ({"details": {"retryAfterSeconds": True}}, None, DEFAULT_RETRY_AFTER),
        ({"details": {"retryAfterSeconds": None}}, "soon", DEFAULT_RETRY_AFTER),
        ({"details": "later"}, "", DEFAULT_RETRY_AFTER),
        (None, None, DEFAULT_RETRY_AFTER),
        ({"details": {"retryAfterSeconds": 10**9}}, None, LONGEST_RETRY_AFTER),
        ({"details": {"retryAfterSeconds": "inf"}}, None, LONGEST_RETRY_AFTER),
        ({"details": {"retryAfterSeconds": 10**400}}, None, LONGEST_RETRY_AFTER),
    ],
)
def test_waits(body: object, header: str | None, seconds: float) -> None:
    """The longest wait that is named counts, at most a day; a default where none can be made out."""
    assert retry_after(body, header, NOW) == seconds


@given(st.none() | st.text() | st.integers() | st.floats() | st.booleans() | st.lists(st.none()), st.text())
def test_any_wait(named: object, header: str) -> None:
    """Whatever a server names, the wait is from 0 seconds to a day."""
    assert 0 <= retry_after({"details": {"retryAfterSeconds": named}}, header, NOW) <= LONGEST_RETRY_AFTER

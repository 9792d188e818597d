"""What a server refuses, and how the errors say so."""

import json
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest

from syncd.errors import (
    AuthError,
    FetchError,
    ForbiddenError,
    NotFoundError,
    ProtocolError,
    RateLimitedError,
    RejectedError,
)
from syncd.sources.http import PoliteClient

pytestmark = pytest.mark.anyio

OpenClient = Callable[..., AbstractAsyncContextManager[PoliteClient]]
OpenRawServer = Callable[..., AbstractAsyncContextManager[Any]]
Reply = Callable[..., bytes]

TOKEN = "ot_pat_abc_verysecret"


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

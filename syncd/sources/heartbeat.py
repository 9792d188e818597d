"""The dead man's ping: a GET that tells some other service that all is well."""

import asyncio
from typing import Final

import httpx

from syncd.errors import UnreachableError
from syncd.sources.slots import open_client
from syncd.sources.transport_faults import FAULTS, transport_fault

_SECONDS: Final = 10.0


async def send_heartbeat(url: str) -> None:
    """Ask for the address once; raises UnreachableError, which does not name it: who knows it can feign our life."""
    try:
        async with (
            asyncio.timeout(_SECONDS),
            open_client(url, {"User-Agent": "syncd"}, httpx.Timeout(_SECONDS)) as client,
        ):
            status = (await client.get(url)).status_code
    except FAULTS as fault:
        raise transport_fault(fault, "the heartbeat", (url, httpx.URL(url).path), once_only=False) from None
    if status >= httpx.codes.BAD_REQUEST:
        raise UnreachableError(
            f"the heartbeat was answered with {status}; check [heartbeat] url", reason=f"http_{status}"
        )

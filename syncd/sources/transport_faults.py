"""What can go wrong on the way, told apart by one question above all: may the request have arrived?"""

from typing import Final

import httpx

from syncd.errors import UnreachableError
from syncd.sources.answers import clean

FAULTS: Final = (
    httpx.TransportError,
    httpx.DecodingError,
    httpx.InvalidURL,
    TimeoutError,
    OSError,
    ImportError,
    ValueError,
)
"""All that a request can raise beside being cancelled: ImportError is a SOCKS proxy without its library, ValueError a
proxy or a header that can't be used."""

_UNTOLD: Final = (httpx.LocalProtocolError, ValueError)  # their texts repeat headers and proxies' passwords
_RESET: Final = ("reset", "closed the connection; it is asked again later")
_NEVER_LEFT: Final = (
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
    httpx.InvalidURL,
    ImportError,
)
# Almost always a setting that can't be used; yet nothing rules out that one comes while an answer is read.
_HARDLY_LEFT: Final = (httpx.LocalProtocolError, ValueError)
_REASONS: Final[tuple[tuple[tuple[type[Exception], ...], str, str], ...]] = (
    ((*_NEVER_LEFT, *_HARDLY_LEFT), "connect", "can't be reached; check the address, the network and any proxy"),
    ((httpx.TimeoutException, TimeoutError), "timeout", "does not answer in time; it is asked again later"),
    (
        (httpx.RemoteProtocolError, httpx.DecodingError),
        "truncated",
        "broke off its answer; it is asked again later",
    ),
)


def transport_fault(fault: Exception, request: str, secrets: tuple[str, ...], *, once_only: bool) -> UnreachableError:
    """The error for a fault of the network; of one that must not be done twice, only whether it left is of use."""
    reason, advice = next((words for kinds, *words in _REASONS if isinstance(fault, kinds)), _RESET)
    if once_only and not isinstance(fault, _NEVER_LEFT):
        reason, advice = "lost", "may have taken this, but its answer was lost; look before doing it again"
    # An httpx error's text names neither headers nor the body; its attributes do, which is why it is not chained.
    said = "" if isinstance(fault, _UNTOLD) else clean(str(fault), secrets)
    return UnreachableError(f"{request}: the server {advice}{said and f' ({said})'}", reason=reason)

"""Addresses in their one spelling: accounts are told apart by them, so two spellings of one must be equal."""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

_DEFAULT_PORTS = {"http": 80, "https": 443}
_PUBLIC_API_PATH = "/api/public/v1"
_HOST_NAME = re.compile(r"(?!-)[\w-]{1,63}(?<!-)(\.(?!-)[\w-]{1,63}(?<!-))*\.?")


def normalise_origin(url: str) -> str:
    """Return an OpenTrain address as `https://host[:port]`; ValueError says what would be right."""
    parts = _split_http(url)
    path = parts.path.rstrip("/")
    if path not in ("", _PUBLIC_API_PATH):
        raise ValueError(f"must be the origin only, such as {_origin(parts)}; leave out the path {parts.path}")
    return _origin(parts)


def normalise_api_base(url: str) -> str:
    """Return an OpenATS address up to and including `/api`; ValueError says what would be right."""
    parts = _split_http(url)
    path = parts.path.rstrip("/")
    if not path.endswith("/api"):
        raise ValueError(f"must go up to and including /api, such as {_origin(parts)}/api")
    return _origin(parts) + path


def check_http_url(url: str) -> str:
    """Return an http(s) address as it is, once it is known to be one."""
    _split_http(url, bare=False)
    return url


def sends_in_the_clear(url: str) -> bool:
    """Say whether what is sent to `url` could be read on the way: http, and not to this machine itself."""
    parts = urlsplit(url)
    return parts.scheme.lower() == "http" and not _is_loopback(parts.hostname or "")


def parse_listen(text: str) -> tuple[str, int]:
    """Return host and port of `127.0.0.1:9464` or `[::1]:9464`; ValueError says what would be right."""
    host, _, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        known = _is_ip(host)
    else:
        known = _HOST_NAME.fullmatch(host) is not None
    if not known or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65_535:  # noqa: PLR2004 - the highest port
        raise ValueError('must be an address and a port, such as "127.0.0.1:9464"')
    return host, int(port)


def _split_http(url: str, *, bare: bool = True) -> SplitResult:
    """Take an address apart; `bare` ones have no query."""
    if not url.isprintable() or " " in url:  # urlsplit would drop some of these silently
        raise ValueError("must be an address without spaces or control characters")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError("must be an address with a valid host and port") from error
    if parts.scheme not in _DEFAULT_PORTS or not _is_host(parts.hostname or "") or port == 0:
        raise ValueError("must be an address such as https://host or http://host:8080")
    if "@" in parts.netloc:
        raise ValueError("must not hold a user name or password")
    if bare and (parts.query or parts.fragment):
        raise ValueError("must not hold a query or a fragment (? or #)")
    return parts


def _origin(parts: SplitResult) -> str:
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    port = "" if parts.port in (None, _DEFAULT_PORTS[parts.scheme]) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def _is_host(host: str) -> bool:
    return _is_ip(host) if ":" in host else _HOST_NAME.fullmatch(host) is not None


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return host == "localhost" or (_is_ip(host) and ipaddress.ip_address(host).is_loopback)

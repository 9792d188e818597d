from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from syncd.config.models import normalise_api_base, normalise_origin, parse_listen, sends_in_the_clear

_hosts = st.from_regex(r"[a-z]([a-z0-9]{0,8}[a-z0-9])?(\.[a-z]{2,5}){0,2}", fullmatch=True)
_ports = st.none() | st.integers(1, 65_535)


@pytest.mark.parametrize(
    ("given_url", "origin"),
    [
        ("https://app.opentrain.ai", "https://app.opentrain.ai"),
        ("https://app.opentrain.ai/", "https://app.opentrain.ai"),
        ("HTTPS://App.OpenTrain.AI:443", "https://app.opentrain.ai"),
        ("https://app.opentrain.ai/api/public/v1/", "https://app.opentrain.ai"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
    ],
)
def test_an_origin_has_one_spelling(given_url: str, origin: str) -> None:
    """Spellings of one OpenTrain address become equal; the API's own path is left out."""
    assert normalise_origin(given_url) == origin


@pytest.mark.parametrize(
    "url",
    [
        "",
        "app.opentrain.ai",
        "ftp://host",
        "https://",
        "https://user:pw@host",
        "https://host/api",
        "https://host?x=1",
        "https://host#x",
        "https://ho st",
        "https://host\n",
        "https://host:99999",
        "https://host:0",
        "https://[::1",
        "https://host/\tx",
    ],
)
def test_what_is_no_origin_is_refused(url: str) -> None:
    """Paths, credentials, queries and half addresses are ValueErrors that say what must be."""
    with pytest.raises(ValueError, match=r"^must "):
        normalise_origin(url)


def test_a_path_is_named() -> None:
    """A path too much is answered with the address that would be right."""
    with pytest.raises(ValueError, match="must be the origin only, such as https://host; leave out the path /api/v2"):
        normalise_origin("https://host/api/v2")


@pytest.mark.parametrize(
    ("given_url", "base"),
    [
        ("http://localhost:8080/api", "http://localhost:8080/api"),
        ("http://LOCALHOST:8080/api/", "http://localhost:8080/api"),
        ("https://host/ats/api//", "https://host/ats/api"),
    ],
)
def test_an_api_base_keeps_its_path(given_url: str, base: str) -> None:
    """An OpenATS address goes up to and including /api, without a slash at its end."""
    assert normalise_api_base(given_url) == base


@pytest.mark.parametrize("url", ["http://localhost:8080", "http://localhost:8080/api/chat"])
def test_an_api_base_without_api_is_refused(url: str) -> None:
    """An OpenATS address that ends elsewhere is answered with what would be right."""
    with pytest.raises(ValueError, match="up to and including /api, such as http://localhost:8080/api"):
        normalise_api_base(url)


@given(st.sampled_from(["http", "https"]), _hosts, _ports, st.sampled_from(["", "/", "/api/public/v1"]))
def test_normalising_twice_changes_nothing(scheme: str, host: str, port: int | None, path: str) -> None:
    """A normalised origin is its own normal form, and so is the OpenATS address made of it."""
    origin = normalise_origin(f"{scheme}://{host}{f':{port}' if port else ''}{path}")
    assert normalise_origin(origin) == origin
    assert normalise_api_base(f"{origin}/api/") == f"{origin}/api"


@given(st.text())
def test_no_text_breaks_it(text: str) -> None:
    """Any text is an origin or a ValueError, never another error."""
    for url in (text, f"https://{text}"):
        with suppress(ValueError):
            assert normalise_origin(url).startswith("http")


@pytest.mark.parametrize(
    ("url", "clear"),
    [
        ("http://example.com", True),
        ("http://10.0.0.1:80", True),
        ("http://localhost.example.com", True),
        ("http://127.0.0.1.example.com", True),
        ("http://localhost:8080/api", False),
        ("http://127.9.9.9", False),
        ("http://[::1]:8000", False),
        ("https://example.com", False),
    ],
)
def test_loopback_is_this_machine_only(url: str, clear: bool) -> None:  # noqa: FBT001 - a parameter of the table
    """Only http to another machine can be read on the way."""
    assert sends_in_the_clear(url) is clear


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:9464", ("127.0.0.1", 9464)), ("[::1]:9464", ("::1", 9464)), ("localhost:0", ("localhost", 0))],
)
def test_a_listening_address_is_host_and_port(text: str, address: tuple[str, int]) -> None:
    """Names, IPv4 and bracketed IPv6 addresses are accepted."""
    assert parse_listen(text) == address


@pytest.mark.parametrize(
    "text", ["", "9464", ":9464", "127.0.0.1", "127.0.0.1:", "host:65536", "::1:9464", "host:٣", "[x]:1"]
)
def test_what_is_no_listening_address_is_refused(text: str) -> None:
    """Anything else is a ValueError with an example."""
    with pytest.raises(ValueError, match=r"127\.0\.0\.1:9464"):
        parse_listen(text)

import socket
import threading
import urllib.request
from collections.abc import Iterator

import pytest

from syncd.errors import ConfigError
from syncd.ops.metrics import AccountFigures, Figures, MetricsServer

FIGURES = Figures(
    accounts=[
        AccountFigures(
            account="acme",
            state="ok",
            age_seconds=4.5,
            unread=3,
            needs_reply=2,
            failures=1,
            events={"message.new": 9},
            requests={200: 40, 429: 2},
            rows=120,
            polls=7,
            poll_seconds=1.5,
        ),
        AccountFigures(account="beta", state="auth_failed"),
    ],
    database_bytes=4096,
    wal_bytes=512,
)


@pytest.fixture
def server() -> Iterator[MetricsServer]:
    """A server on any free port."""
    started = MetricsServer(("127.0.0.1", 0), lambda: FIGURES)
    yield started
    started.close()


def fetch(server: MetricsServer) -> set[str]:
    """The lines of one scrape."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=5) as answer:
        return set(answer.read().decode().splitlines())


def test_a_scrape_shows_every_figure(server: MetricsServer) -> None:
    """All that the figures hold is there under its lasting name, by account."""
    assert fetch(server) >= {
        'syncd_last_success_age_seconds{account="acme"} 4.5',
        'syncd_unread_conversations{account="acme"} 3.0',
        'syncd_needs_reply_conversations{account="acme"} 2.0',
        'syncd_failures{account="acme"} 1.0',
        'syncd_account_state{account="beta",state="auth_failed"} 1.0',
        'syncd_requests_total{account="acme",status="429"} 2.0',
        'syncd_rows_written_total{account="acme"} 120.0',
        'syncd_events_total{account="acme",kind="message.new"} 9.0',
        'syncd_poll_duration_seconds_count{account="acme"} 7.0',
        'syncd_poll_duration_seconds_sum{account="acme"} 1.5',
        "syncd_database_bytes 4096.0",
        "syncd_wal_bytes 512.0",
    }


def test_an_account_that_never_succeeded_has_no_age(server: MetricsServer) -> None:
    """An age that is not known is absent, not zero."""
    assert not [line for line in fetch(server) if line.startswith('syncd_last_success_age_seconds{account="beta"')]


def test_a_taken_address_is_an_error_with_advice() -> None:
    """A port in use is told as a mistake of the configuration."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigError, match="choose another address"):
            MetricsServer(("127.0.0.1", taken.getsockname()[1]), lambda: FIGURES)


def test_closing_leaves_no_thread() -> None:
    """After close the port is free and no thread of the server is left."""
    before = threading.active_count()
    MetricsServer(("127.0.0.1", 0), lambda: FIGURES).close()
    assert threading.active_count() == before

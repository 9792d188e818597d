"""Metrics for Prometheus: what they are called, and a small server that shows them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from syncd.errors import ConfigError

if TYPE_CHECKING:  # slow to import, and only wanted where metrics are
    from prometheus_client.core import Metric


class AccountFigures(Struct, frozen=True, kw_only=True):
    """One account's figures; `requests` by HTTP status, `events` by kind. Those with a * count since the start."""

    account: str
    state: str
    age_seconds: float | None = None
    unread: int = 0
    needs_reply: int = 0
    failures: int = 0
    events: Mapping[str, int] = {}
    requests: Mapping[int, int] = {}  # *
    rows: int = 0  # *
    polls: int = 0  # *
    poll_seconds: float = 0.0  # *


class TargetFigures(Struct, frozen=True, kw_only=True):
    """One target that is published to; `age_seconds` since something last went there."""

    target: str
    behind: int
    failing: bool
    age_seconds: float | None = None


class Figures(Struct, frozen=True, kw_only=True):
    """Everything that one scrape shows; sizes in bytes."""

    accounts: Sequence[AccountFigures]
    database_bytes: int
    wal_bytes: int
    targets: Sequence[TargetFigures] = ()


class MetricsServer:
    """Shows the metrics from a thread of its own until it is closed."""

    def __init__(self, address: tuple[str, int], read: Callable[[], Figures]) -> None:
        """`read` is called in that thread at each scrape; raises ConfigError where the address can't be listened on."""
        from prometheus_client import CollectorRegistry, start_http_server  # noqa: PLC0415 - see above

        registry = CollectorRegistry()
        registry.register(_Collector(read))
        host, port = address
        try:
            self._server, self._thread = start_http_server(port, host, registry)
        except OSError as error:
            raise ConfigError(
                f"[metrics] listen: {host}:{port} can't be listened on ({error.strerror or error}); "
                "choose another address"
            ) from error

    @property
    def port(self) -> int:
        """Where it listens, also when any free port was asked for."""
        return int(self._server.server_port)

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Collector:
    """Fulfils prometheus_client's interface of a collector."""

    def __init__(self, read: Callable[[], Figures]) -> None:
        self._read = read

    def describe(self) -> list[Any]:
        """Nothing: so that registering does not read."""
        return []

    def collect(self) -> "Iterator[Metric]":
        """Every metric, as of now."""
        figures = self._read()
        yield from _gauges(figures)
        yield from _counters(figures)
        yield from _sizes(figures)
        yield from _targets(figures)


def _gauges(figures: Figures) -> "Iterator[Metric]":
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - see above

    age = GaugeMetricFamily("syncd_last_success_age_seconds", "Time since the last good poll.", labels=["account"])
    unread = GaugeMetricFamily("syncd_unread_conversations", "Conversations with unread messages.", labels=["account"])
    waiting = GaugeMetricFamily(
        "syncd_needs_reply_conversations", "Conversations that need a reply.", labels=["account"]
    )
    failures = GaugeMetricFamily("syncd_failures", "Things that failed and are tried again.", labels=["account"])
    state = GaugeMetricFamily("syncd_account_state", "1 for the state the account is in.", labels=["account", "state"])
    for one in figures.accounts:
        if one.age_seconds is not None:
            age.add_metric([one.account], one.age_seconds)
        unread.add_metric([one.account], one.unread)
        waiting.add_metric([one.account], one.needs_reply)
        failures.add_metric([one.account], one.failures)
        state.add_metric([one.account, one.state], 1)
    return iter((age, unread, waiting, failures, state))


def _counters(figures: Figures) -> "Iterator[Metric]":
    from prometheus_client.core import CounterMetricFamily, SummaryMetricFamily  # noqa: PLC0415 - see above

    requests = CounterMetricFamily("syncd_requests", "Answers by HTTP status.", labels=["account", "status"])
    rows = CounterMetricFamily("syncd_rows_written", "Rows written.", labels=["account"])
    events = CounterMetricFamily("syncd_events", "Events recorded.", labels=["account", "kind"])
    polls = SummaryMetricFamily("syncd_poll_duration_seconds", "How long polls took.", labels=["account"])
    for one in figures.accounts:
        rows.add_metric([one.account], one.rows)
        polls.add_metric([one.account], count_value=one.polls, sum_value=one.poll_seconds)
        for status, count in one.requests.items():
            requests.add_metric([one.account, str(status)], count)
        for kind, count in one.events.items():
            events.add_metric([one.account, kind], count)
    return iter((requests, rows, events, polls))


def _sizes(figures: Figures) -> "Iterator[Metric]":
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - see above

    yield GaugeMetricFamily("syncd_database_bytes", "Size of the database file.", value=figures.database_bytes)
    yield GaugeMetricFamily("syncd_wal_bytes", "Size of the write-ahead log.", value=figures.wal_bytes)


def _targets(figures: Figures) -> "Iterator[Metric]":
    from prometheus_client.core import GaugeMetricFamily  # noqa: PLC0415 - see above

    behind = GaugeMetricFamily("syncd_publish_behind_changes", "Changes not published yet.", labels=["target"])
    failing = GaugeMetricFamily("syncd_publish_failing", "1 while it can't be published to.", labels=["target"])
    age = GaugeMetricFamily("syncd_publish_age_seconds", "Time since something was last published.", labels=["target"])
    for one in figures.targets:
        behind.add_metric([one.target], one.behind)
        failing.add_metric([one.target], int(one.failing))
        if one.age_seconds is not None:
            age.add_metric([one.target], one.age_seconds)
    return iter((behind, failing, age))

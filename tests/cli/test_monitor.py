from typing import Any

import pytest

from syncd.core.times import after
from syncd.store.database import SCHEMA_VERSION
from syncd.store.migrate import open_writer


def kinds(ended: Any) -> list[str]:
    """The kinds of the reasons that `check --json` gave, and that its exit code fits them."""
    reasons = ended.data["reasons"]
    assert ended.code == (1 if reasons else 0)
    assert ended.data["ok"] is not bool(reasons)
    return [reason["kind"] for reason in reasons]


def read_time(run: Any, mirror: Any, seconds: float) -> str:
    """The time so many seconds after the database's."""
    rows = run("sql", "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now') AS now", "--json", "--db", mirror.path).data
    return after(rows[0]["now"], seconds)


@pytest.fixture
def now(run: Any, mirror: Any) -> str:
    """The time, as the database takes it."""
    return read_time(run, mirror, 0)


def test_all_well(run: Any, mirror: Any) -> None:
    """A fresh account, no failure and nobody waiting: 0 and `ok`."""
    mirror.add_account("acme")
    ended = run("check", "--db", mirror.path)
    assert (ended.code, ended.out) == (0, "ok\n")


def test_no_account_is_not_well(run: Any, mirror: Any) -> None:
    """A database that mirrors nothing yet: 1."""
    assert kinds(run("check", "--json", "--db", mirror.path)) == ["no_accounts"]


@pytest.mark.parametrize(
    ("state", "age", "max_age", "expected"),
    [
        ("ok", 590, "10m", []),
        ("ok", 610, "10m", ["stale"]),
        ("ok", 610, "11m", []),
        ("auth_failed", 590, "10m", []),
        ("auth_failed", 610, "10m", ["stale"]),
        ("ok", None, "10m", ["stale"]),
    ],
)
def test_age_is_what_counts(
    run: Any, mirror: Any, state: str, age: int | None, max_age: str, expected: list[str]
) -> None:
    """Whatever the state, an account is fresh while its last good poll is at most --max-age old."""
    last = None if age is None else read_time(run, mirror, -age)
    mirror.add_account("acme", state=state, last_success_at=last, last_error="the token is refused")
    assert kinds(run("check", "--json", "--max-age", max_age, "--db", mirror.path)) == expected


def test_the_reason_names_the_trouble(run: Any, mirror: Any, now: str) -> None:
    """For people, each reason is one line with the account, the age, the state and the last error."""
    mirror.add_account(
        "acme", state="auth_failed", last_success_at=after(now, -7300), last_error="token\x1b[2J refused"
    )
    ended = run("check", "--db", mirror.path)
    expected = "acme: last successful poll 2 h ago (state auth_failed: token refused)\n"
    assert (ended.code, ended.out) == (1, expected)


@pytest.mark.parametrize(("progress", "expected"), [(30, []), (700, ["stale"])])
def test_a_first_pass_is_judged_by_its_progress(
    run: Any, mirror: Any, now: str, progress: int, expected: list[str]
) -> None:
    """While the first pass runs, rows stored within --max-age make the account fresh, however long it takes."""
    begun = after(now, -9000)
    mirror.add_account("acme", state="starting", state_since=begun, first_started_at=begun, last_success_at=None)
    mirror.add_conversation("acme", "c", changed_at=begun)
    mirror.add_message("acme", "c", "m", "text", changed_at=after(now, -progress), is_from_viewer=1)
    assert kinds(run("check", "--json", "--db", mirror.path)) == expected


def test_a_first_pass_that_has_just_begun_is_fresh(run: Any, mirror: Any, now: str) -> None:
    """An account that began within --max-age is well although it has nothing yet."""
    mirror.add_account(
        "acme", state="starting", state_since=after(now, -20), first_started_at=None, last_success_at=None
    )
    assert kinds(run("check", "--json", "--db", mirror.path)) == []


@pytest.mark.parametrize(("age", "expected"), [(500, []), (700, ["failure"])])
def test_a_failure_may_last_as_long(run: Any, mirror: Any, now: str, age: int, expected: list[str]) -> None:
    """A failure counts once it has lasted longer than --max-age."""
    mirror.add_account("acme")
    failed = after(now, -age)
    mirror.insert("failures", account="acme", kind="page", subject_id="c", reason="BAD", first_failed_at=failed)
    assert kinds(run("check", "--json", "--db", mirror.path)) == expected


@pytest.mark.parametrize(
    ("words", "expected"), [([], ["waiting"]), (["--max-waiting", "6h"], []), (["--max-waiting", "0"], [])]
)
def test_nobody_waits_too_long(run: Any, mirror: Any, now: str, words: list[str], expected: list[str]) -> None:
    """A person who needs a reply may wait --max-waiting (4 h); dismissed, gone and answered ones don't count."""
    mirror.add_account("acme")
    for id, count, gone_at in (("waits", 1, None), ("dismissed", 0, None), ("gone", 1, now), ("answered", 1, None)):
        mirror.add_conversation("acme", id, needs_reply_count=count, gone_at=gone_at)
        mirror.add_message("acme", id, f"{id}-1", "Hello?", created_at=after(now, -5 * 3600))
    mirror.add_message("acme", "answered", "a-2", "Hello!", created_at=after(now, -4.9 * 3600), is_from_viewer=1)
    ended = run("check", "--json", *words, "--db", mirror.path)
    assert kinds(ended) == expected
    assert [reason["conversation_id"] for reason in ended.data["reasons"]] == ["waits"][: len(expected)]


def test_removed_accounts_are_nobodys_business(run: Any, mirror: Any, now: str) -> None:
    """Age, failures and waits of a removed account are no reason, and `status` leaves it out."""
    mirror.add_account("acme")
    mirror.add_account("left", last_success_at=None, removed_at=now)
    failed = after(now, -9000)
    mirror.insert("failures", account="left", kind="page", subject_id="c", reason="BAD", first_failed_at=failed)
    mirror.add_conversation("left", "c", needs_reply_count=1)
    mirror.add_message("left", "c", "m", "Hello?", created_at=after(now, -9 * 3600))
    assert kinds(run("check", "--json", "--db", mirror.path)) == []
    assert [row["account"] for row in run("status", "--json", "--db", mirror.path).data["accounts"]] == ["acme"]


@pytest.mark.parametrize("words", [["--max-age", "0"], ["--max-age", "10"], ["--max-waiting", "soon"]])
def test_a_limit_that_is_none_is_wrong_usage(run: Any, mirror: Any, words: list[str]) -> None:
    """An age of 0 and text that is no duration end with 2."""
    assert run("check", *words, "--db", mirror.path).code == 2


def test_status_as_json(run: Any, inbox: Any, now: str) -> None:
    """`status --json` has the database and each account with its counts and what the daemon noted."""
    noted = (
        '{"poll": {"requests": 3, "bytes": 2048}, "missing_scopes": ["jobs:read"], "loss_guard": "120 gone at once"}'
    )
    inbox.insert("_accounts", account="acme", state=noted)
    inbox.insert("failures", account="acme", kind="page", subject_id="c", reason="BAD", first_failed_at=now)
    data = run("status", "--json", "--db", inbox.path).data
    assert data["database"] == {
        "path": str(inbox.path),
        "bytes": inbox.path.stat().st_size,
        "schema_version": SCHEMA_VERSION,
    }
    acme, beta = data["accounts"]
    counts = {"conversations": 3, "messages": 3, "unread": 1, "needs_reply": 1, "failures": 1}
    assert {name: acme[name] for name in counts} == counts
    assert acme["poll"] == {"requests": 3, "bytes": 2048}
    assert (acme["missing_scopes"], acme["loss_guard"]) == (["jobs:read"], "120 gone at once")
    assert acme["failing"][0]["reason"] == "BAD"
    assert (beta["poll"], beta["missing_scopes"], beta["loss_guard"], beta["failing"]) == (None, [], None, [])


def test_the_size_includes_the_log(run: Any, mirror: Any) -> None:
    """While the database is open, the write-ahead log beside it counts."""
    log = mirror.path.with_name("syncd.db-wal")
    with open_writer(mirror.path) as writer, writer.transaction() as connection:
        connection.execute("INSERT INTO _counters VALUES ('x', 1)")
    with open_writer(mirror.path) as writer:
        with writer.transaction() as connection:
            connection.execute("INSERT INTO _counters VALUES ('y', 1)")
        assert log.stat().st_size > 0
        told = run("status", "--json", "--db", mirror.path).data["database"]["bytes"]
        assert told >= mirror.path.stat().st_size + log.stat().st_size


@pytest.mark.parametrize("columns", ["80", "200"])
def test_status_for_people(run: Any, mirror: Any, monkeypatch: pytest.MonkeyPatch, now: str, columns: str) -> None:
    """Every account's state, freshness, counts, trouble and cost stand in lines that fit the terminal."""
    monkeypatch.setenv("COLUMNS", columns)
    retry = after(now, 300.9)
    mirror.add_account("acme", state="rate_limited", retry_at=retry, last_error="too many requests " * 20)
    noted = '{"poll": {"requests": 1, "bytes": 2048, "cpu_ms": 4.4, "seconds": 0.1}, "missing_scopes": ["jobs:read"]}'
    mirror.insert("_accounts", account="acme", state=noted)
    mirror.insert("failures", account="acme", kind="page", subject_id="c", reason="BAD", first_failed_at=now)
    out = run("status", "--db", mirror.path).out
    assert max(map(len, out.splitlines())) <= int(columns)
    for words in (
        "rate_limited since",
        "in 5 min",
        "1 request, 2.0 kB, 4 ms CPU, 0.10 s",
        "jobs:read",
        "1 of kind page: BAD",
    ):
        assert words in out


def test_status_before_the_first_account(run: Any, mirror: Any) -> None:
    """A database without accounts says what to do."""
    assert "syncd sync begins" in run("status", "--db", mirror.path).out


def test_a_poll_in_the_future_is_not_fresh(run: Any, mirror: Any, now: str) -> None:
    """A last poll, a failure or a first pass that lies ahead, as the clock was set back since, is no sign of health."""
    later = after(now, 400 * 86_400)
    mirror.add_account("acme", last_success_at=later)
    mirror.add_account("begun", state="starting", state_since=later, first_started_at=later, last_success_at=None)
    mirror.add_account("fails")
    mirror.insert("failures", account="fails", kind="page", subject_id="c", reason="BAD", first_failed_at=later)
    ended = run("check", "--json", "--db", mirror.path)
    assert sorted(kinds(ended)) == ["failure", "stale", "stale"]
    assert "the clock was set back" in run("check", "--db", mirror.path).out


def test_an_age_is_never_negative(run: Any, mirror: Any, now: str) -> None:
    """The view `freshness` knows no age of a poll that lies in the future."""
    mirror.add_account("acme", last_success_at=after(now, 400 * 86_400))
    rows = run("sql", "SELECT age_seconds FROM freshness", "--json", "--db", mirror.path).data
    assert rows == [{"age_seconds": None}]


def test_a_target_that_was_published_in_the_future(run: Any, mirror: Any, now: str) -> None:
    """A target that fails since a time that lies ahead has failed for longer than anybody knows."""
    mirror.add_account("acme")
    later = after(now, 400 * 86_400)
    mirror.insert("_published", target="t", follows=1, place=0, error="away", tries=1, failing_since=later)
    assert kinds(run("check", "--json", "--db", mirror.path)) == ["publish"]

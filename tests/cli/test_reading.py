import csv
import io
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

INBOX_COLUMNS = [
    "account", "source", "conversation_id", "type", "bucket", "title", "job_id", "job_title", "proposal_id",
    "candidate_id", "candidate_name", "unread_count", "needs_reply_count", "last_message_id", "last_message_at",
    "last_sender", "last_message", "waiting_seconds", "gone_at",
]  # fmt: skip
THREAD_COLUMNS = [
    "account", "conversation_id", "message_id", "sent_at", "sender", "direction", "content", "edited_at", "gone_at",
]  # fmt: skip


def test_inbox_as_json_is_the_view(run: Any, inbox: Any) -> None:
    """`inbox --json` is an array of the view's rows with the view's columns, newest first, all of them."""
    rows = run("inbox", "--json", "--db", inbox.path).data
    assert [list(row) for row in rows] == [INBOX_COLUMNS] * 6
    assert [row["conversation_id"] for row in rows[:3]] == ["c-new", "c-hostile", "c-old"]


def test_inbox_is_narrowed_down(run: Any, inbox: Any) -> None:
    """`--unread`, `--needs-reply`, `--account` and `--limit` leave only what they name."""

    def ids(*words: str) -> list[str]:
        return [row["conversation_id"] for row in run("inbox", "--json", "--db", inbox.path, *words).data]

    assert ids("--unread") == ids("--needs-reply") == ids("--unread", "--needs-reply") == ["c-new"]
    assert ids("--account", "beta") == ["c-hostile", "c-both"]
    assert ids("--limit", "2") == ["c-new", "c-hostile"]
    assert run("inbox", "--unread", "--account", "beta", "--db", inbox.path).out == "No conversations.\n"


def test_needs_reply_shows_the_longest_waiting_first(run: Any, inbox: Any) -> None:
    """`--needs-reply` sorts by waiting time, those who don't wait last."""
    inbox.add_conversation("acme", "c-calm", needs_reply_count=1)
    inbox.add_conversation("acme", "c-long", needs_reply_count=1)
    inbox.add_message("acme", "c-long", "m9", "Hello?", created_at="2020-01-01T00:00:00.000Z")
    rows = run("inbox", "--needs-reply", "--json", "--db", inbox.path).data
    assert [row["conversation_id"] for row in rows] == ["c-long", "c-new", "c-calm"]


def test_an_unknown_account_is_wrong_usage(run: Any, inbox: Any) -> None:
    """An account that isn't there ends with 2 and the names of those that are."""
    ended = run("inbox", "--account", "nobody", "--db", inbox.path)
    assert ended.code == 2
    assert "acme, beta" in ended.err


@pytest.mark.parametrize("columns", [80, 200])
def test_the_inbox_fits_its_terminal(run: Any, inbox: Any, monkeypatch: pytest.MonkeyPatch, columns: int) -> None:
    """At 80 and at 200 columns no line is wider, and every id can be copied whole."""
    from rich.cells import cell_len  # noqa: PLC0415 - only here

    monkeypatch.setenv("COLUMNS", str(columns))
    long_id = "3f1c0000-aaaa-bbbb-cccc-000000000000"
    inbox.add_conversation("acme", long_id, title="A title that goes on " * 20)
    ended = run("inbox", "--db", inbox.path)
    assert max(cell_len(line) for line in ended.out.splitlines()) <= columns
    assert f"{long_id} (acme)" in ended.out
    assert all(words in ended.out for words in ("New talk", "2 unread, waits 2 h", "1 min ago", "مرحبا 日本語 👩‍👩‍👧"))


def test_more_than_fits_is_said(run: Any, inbox: Any) -> None:
    """A list that is cut off says of how many, and how to see all."""
    assert "2 of 6 shown; --limit 0 shows all." in run("inbox", "--limit", "2", "--db", inbox.path).out
    assert "shown" not in run("inbox", "--limit", "0", "--db", inbox.path).out


@pytest.mark.parametrize("words", [["inbox"], ["thread", "c-hostile"], ["sql", "SELECT * FROM messages"], ["status"]])
@pytest.mark.parametrize("columns", ["80", "200"])
def test_nothing_from_the_network_steers_the_terminal(
    run: Any, inbox: Any, monkeypatch: pytest.MonkeyPatch, words: list[str], columns: str
) -> None:
    """Names, titles, texts and errors are shown without escape sequences, controls or overrides."""
    monkeypatch.setenv("COLUMNS", columns)
    hostile = "\x1b[2Jbad\x9b \u202e\x07\u2067"
    inbox.add_account("evil\x1b[2J", source=hostile, base_url=hostile, state=hostile, last_error=hostile)
    inbox.insert(
        "_accounts", account="evil\x1b[2J", state='{"missing_scopes": ["\\u001b[2J"], "loss_guard": "\\u009b"}'
    )
    inbox.insert("failures", account="evil\x1b[2J", kind=hostile, subject_id="x", reason=hostile, first_failed_at=None)
    ended = run(*words, "--db", inbox.path)
    assert ended.code == 0
    assert not [character for character in ended.out if not character.isprintable() and character not in "\n\u200d"]


def test_json_is_exact_even_where_the_text_is_hostile(run: Any, inbox: Any) -> None:
    """`--json` gives the very characters back, written so that the terminal sees none of them."""
    ended = run("thread", "c-hostile", "--json", "--db", inbox.path)
    assert ended.data[0]["content"] == ended.data[0]["sender"]
    assert ended.data[0]["content"].startswith("\x1b]0;title\x07\x1b[31mred\x9b2J \u202eevil\u2066")
    assert not set(ended.out) & set("\x1b\x07\x9b\u202e\u2066")


def test_thread_as_json_is_the_view(run: Any, inbox: Any) -> None:
    """`thread --json` is an array of the view's rows, oldest first."""
    rows = run("thread", "c-new", "--json", "--db", inbox.path).data
    assert [list(row) for row in rows] == [THREAD_COLUMNS] * 2
    assert [row["message_id"] for row in rows] == ["m2", "m3"]


def test_thread_reads_like_a_conversation(run: Any, inbox: Any) -> None:
    """`thread` shows who wrote what, when, what was edited or deleted, and keeps the lines of a message."""
    inbox.add_message(
        "acme", "c-new", "m5", "", created_at="2020-01-02T03:04:05.000Z", gone_at="2020-01-03T00:00:00.000Z"
    )
    out = run("thread", "c-new", "--db", inbox.path).out
    lines = [line.rstrip() for line in out.splitlines()]
    assert lines[0].startswith("New talk · c-new (acme)")
    assert "Thursday, 02 January 2020" in lines
    assert any(line.startswith("Ana  03:04, deleted, seen ") for line in lines)
    assert "  (no text)" in lines
    assert lines[lines.index("  Are you") + 1] == "  there?"
    assert ", edited 3" in out


def test_an_unknown_conversation_is_a_failure(run: Any, inbox: Any) -> None:
    """An id that nobody holds, or not this account, ends with 1 and says so."""
    assert run("thread", "nothing", "--db", inbox.path).code == 1
    ended = run("thread", "c-new", "--account", "beta", "--db", inbox.path)
    assert (ended.code, "no conversation c-new in account beta" in ended.err) == (1, True)


def test_an_id_of_several_accounts_wants_one_named(run: Any, inbox: Any) -> None:
    """An id that two accounts hold ends with 2, naming them; `--account` settles it."""
    ended = run("thread", "c-both", "--db", inbox.path)
    assert ended.code == 2
    assert "acme, beta" in ended.err
    assert "Of beta" in run("thread", "c-both", "--account", "beta", "--db", inbox.path).out


def test_sql_prints_json_csv_or_a_table(run: Any, inbox: Any) -> None:
    """One query in three forms: distinct names, NULL, blobs and infinity included."""
    query = "SELECT 1 AS a, NULL AS a, x'00ff' AS b, 9e999 AS i, 'x,\"y' AS t"
    assert run("sql", query, "--json", "--db", inbox.path).data == [
        {"a": 1, "a:1": None, "b": "00ff", "i": None, "t": 'x,"y'}
    ]
    rows = list(csv.reader(io.StringIO(run("sql", query, "--csv", "--db", inbox.path).out)))
    assert rows == [["a", "a:1", "b", "i", "t"], ["1", "", "00ff", "", 'x,"y']]
    assert run("sql", query, "--db", inbox.path).out.split()[:5] == ["a", "a:1", "b", "i", "t"]


def test_sql_shows_wide_rows_as_blocks(run: Any, inbox: Any) -> None:
    """Where the columns don't fit side by side, each row is a block of names and values, and nothing is lost."""
    out = run("sql", "SELECT * FROM messages WHERE id = 'm1'", "--db", inbox.path).out
    assert out.startswith("row 1\n")
    assert "It was long ago" in out
    assert "attachment_count" in out


def test_sql_without_rows(run: Any, inbox: Any) -> None:
    """No rows are an empty array, a heading, or a word for people."""
    query = "SELECT id FROM messages WHERE 0"
    assert run("sql", query, "--json", "--db", inbox.path).data == []
    assert run("sql", query, "--csv", "--db", inbox.path).out == "id\n"
    assert run("sql", query, "--db", inbox.path).out == "No rows.\n"


def test_a_table_of_very_many_rows_is_cut_and_says_so(run: Any, inbox: Any) -> None:
    """A table stops at 1,000 rows and tells it on standard error; JSON has all."""
    query = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 1001) SELECT i FROM n"
    ended = run("sql", query, "--db", inbox.path)
    assert (len(ended.out.splitlines()), "first 1000 rows" in ended.err) == (1001, True)
    assert len(run("sql", query, "--json", "--db", inbox.path).data) == 1001


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM messages", "UPDATE accounts SET state = 'x'", "DROP TABLE messages", "CREATE TEMP TABLE t (a)",
        "ATTACH 'other.db' AS other", "PRAGMA query_only = 0", "PRAGMA journal_mode = DELETE", "BEGIN", "VACUUM",
        "SELECT 1; SELECT 2", "SELECT 1; DELETE FROM messages", "SELECT :a", "SELEC 1", "SELECT nothing FROM messages",
        "", "-- nothing",
    ],
)  # fmt: skip
def test_sql_refuses_all_but_one_query(
    run: Any, inbox: Any, query: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What writes, attaches, is several statements or no SQL ends with 2 and one line, and changes nothing."""
    monkeypatch.chdir(tmp_path)
    before = inbox.path.read_bytes()
    ended = run("sql", query, "--db", inbox.path)
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert inbox.path.read_bytes() == before
    assert not (tmp_path / "other.db").exists()


@pytest.mark.parametrize(
    "query",
    ["SELECT name FROM pragma_table_info('jobs')", "PRAGMA table_info(jobs)", "SELECT value FROM json_each('[1]')",
     "EXPLAIN SELECT 1", "VALUES (1)", "WITH x AS (SELECT 1) SELECT * FROM x", "SELECT * FROM sqlite_master"],
)  # fmt: skip
def test_sql_takes_every_way_to_read(run: Any, inbox: Any, query: str) -> None:
    """Pragmas that tell, table functions, EXPLAIN, VALUES and WITH are queries too."""
    ended = run("sql", query, "--json", "--db", inbox.path)
    assert ended.code == 0
    assert ended.data


def test_csv_and_json_exclude_each_other(run: Any, inbox: Any) -> None:
    """Both at once are wrong usage."""
    assert run("sql", "SELECT 1", "--csv", "--json", "--db", inbox.path).code == 2


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colour_is_for_terminals_that_want_it(inbox: Any, no_color: str, *, coloured: bool) -> None:
    """On a terminal there is colour, with NO_COLOR there is none."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(  # noqa: S603 - our own words
        [sys.executable, "-m", "syncd.cli.main", "sql", "SELECT char(27) || '[31m' AS a", "--csv", "--db", inbox.path],
        stdout=theirs,
    ) as guarded:
        assert guarded.wait() == 0
    with subprocess.Popen(  # noqa: S603 - our own words
        [sys.executable, "-m", "syncd.cli.main", "status", "--db", inbox.path],
        stdout=theirs,
        env=os.environ | ({"NO_COLOR": no_color} if no_color else {}),
    ) as process:
        os.close(theirs)
        seen = b""
        while chunk := _read(ours):
            seen += chunk
    os.close(ours)
    csv_out, table = seen.split(b"acme", 1)[0], seen
    assert b"\x1b[31m" not in csv_out
    assert (b"\x1b[32m" in table) is coloured
    assert process.returncode == 0


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how Linux says that the other end is closed
        return b""


def test_without_a_terminal_there_is_no_colour(run: Any, inbox: Any) -> None:
    """Into a pipe no escape sequence is written."""
    assert "\x1b" not in run("status", "--db", inbox.path).out + run("thread", "c-new", "--db", inbox.path).out


def test_json_is_ascii_where_the_output_can_no_more(launch: Any, inbox: Any) -> None:
    """With an ASCII output, JSON stays exact and a table shows question marks, without an error."""
    out, _ = launch("thread", "c-new", "--json", "--db", inbox.path, PYTHONIOENCODING="ascii").communicate(timeout=20)
    assert "\\u0645\\u0631" in out
    plain = launch("thread", "c-new", "--db", inbox.path, PYTHONIOENCODING="ascii")
    assert "?????" in plain.communicate(timeout=20)[0]
    assert plain.returncode == 0


def test_conversation_ids_complete(inbox: Any, launch: Any) -> None:
    """The shell's completion offers the ids that begin so, from the database that the line names."""
    words = f"syncd --db {inbox.path} thread c-n"
    out, errors = launch(_SYNCD_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD="4").communicate(timeout=20)
    assert (out.split(), errors) == (["c-new"], "")


def test_completion_is_quiet_when_there_is_nothing(launch: Any) -> None:
    """Without a database, completion offers nothing and says nothing."""
    words = "syncd thread c"
    out, errors = launch(_SYNCD_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD="2").communicate(timeout=20)
    assert (out.strip(), errors) == ("", "")

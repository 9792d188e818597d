"""The command: make a database of a million messages, ask it what people ask, print how long each answer took."""

import argparse
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from benchmarks.million_world import make_world
from benchmarks.report import Report, describe_machine, middle, say
from syncd.core.tokenizer import parse_query
from syncd.store.read import reading
from syncd.store.search import SearchQuery, search

_VIEW_MS, _WHOLE_MS, _SEARCH_MS = 200.0, 5000.0, 50.0
_HITS = 20
_LISTS = ("inbox", "unread", "needs_reply")
_OF_ONE = (*_LISTS, "thread", "response_times")
_WHOLE = ("response_times", "daily_activity", "interview_results")
_SEARCHES = (
    "the",
    "finished batch",
    '"looks good"',
    "标注",
    "確",
    "งานชุด",
    "الدفعة",
    "👍",
    "nothing-of-that-kind",
    "w*",
    "sha*",
    "th* s*",
    "looks g*",
)

Question = tuple[str, float | None, Callable[[], int]]
"""What is asked, the most milliseconds it may take (None: nothing is promised), and what asks and counts the rows."""


def measure_questions(database: Path, rounds: int) -> Report:
    """Ask each question so many times, each time over a connection of its own, as another program would."""
    report = Report("million", "what people ask", ("question", "rows", "processor ms", "wall ms", "limit"))
    for text, limit, ask in _questions(database):
        say(text)
        used, waited, rows = [], [], 0
        for _ in range(rounds):
            cpu, wall = time.process_time(), time.perf_counter()
            rows = ask()
            used.append(1000 * (time.process_time() - cpu))
            waited.append(1000 * (time.perf_counter() - wall))
        account_state = "" if limit is None else f"at most {limit:,.0f}: {'met' if middle(used) <= limit else 'MISSED'}"
        report.rows.append((text, rows, middle(used), middle(waited), account_state))
    report.notes.append("medians; the limits are held against the processor's time: a busy machine does not decide")
    return report


def _questions(database: Path) -> list[Question]:
    talk = _choose_conversation(database)
    views = [(f"SELECT * FROM {view}", _VIEW_MS) for view in _LISTS]  # noqa: S608 - names of our own
    views += [(f"SELECT * FROM {view} WHERE conversation_id = '{talk}'", _VIEW_MS) for view in _OF_ONE]  # noqa: S608 - the same
    views += [(f"SELECT * FROM {view}", _WHOLE_MS) for view in _WHOLE]  # noqa: S608 - the same
    searches = [(text, SearchQuery(phrases=parse_query(text))) for text in _SEARCHES]
    searches += [
        ("the --from me", SearchQuery(phrases=parse_query("the"), sender="me")),
        ("batch --from maria", SearchQuery(phrases=parse_query("batch"), sender="maria")),
        ("t* --conversation ID", SearchQuery(phrases=parse_query("t*"), conversation_id=talk)),
        ("the --since 30d", SearchQuery(phrases=parse_query("the"), since="2026-10-02T00:00:00.000Z")),
    ]
    return [
        *((sql.replace(talk, "…"), limit, lambda sql=sql: _count(database, sql)) for sql, limit in views),
        *((f"search {text}", _SEARCH_MS, lambda wanted=wanted: _search(database, wanted)) for text, wanted in searches),
        ("search the --rank", None, lambda: _search(database, SearchQuery(phrases=parse_query("the"), rank=True))),
    ]


def _choose_conversation(database: Path) -> str:
    """The longest proposal's thread."""
    query = (
        "SELECT m.conversation_id FROM conversations c JOIN messages m ON m.account = c.account"
        " AND m.conversation_id = c.id WHERE c.proposal_id IS NOT NULL GROUP BY 1 ORDER BY count(*) DESC LIMIT 1"
    )
    with closing(sqlite3.connect(database)) as connection:
        return str(connection.execute(query).fetchone()[0])


def _count(database: Path, sql: str) -> int:
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
        return len(connection.execute(sql).fetchall())


def _search(database: Path, wanted: SearchQuery) -> int:
    with reading(database) as connection:
        return len(search(connection, wanted, _HITS))


def main() -> None:
    """Make the database unless it is there, and ask."""
    options = _parse()
    with tempfile.TemporaryDirectory(prefix="syncd-million-") as folder:
        database = options.db or Path(folder) / "syncd.db"
        if not database.exists():
            say(f"making {options.messages:,} messages in {options.conversations:,} conversations: {database}")
            make_world(database, messages=options.messages, conversations=options.conversations)
        machine = ", ".join(f"{name}: {value}" for name, value in describe_machine().items())
        sys.stdout.write(f"{machine}\n\n{measure_questions(database, options.rounds).render()}\n")


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.million", description="How long a big mirror takes to answer.")
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--conversations", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5, help="how often each question is asked")
    parser.add_argument("--db", type=Path, help="make the database here, or ask the one that is here already")
    return parser.parse_args()


if __name__ == "__main__":
    main()

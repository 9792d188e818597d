"""A database of any size, as years of mirroring leave one behind: made up, and the same each time.

The schema is the store's own, and the rows go through the store's own transactions, which keep the search index.
"""

import random
import sqlite3
from collections.abc import Iterator
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

from indexed import note_texts
from syncd.simulator import texts
from syncd.simulator.records import iso
from syncd.store.migrate import open_writer

NOW_MS = 1_793_491_200_000  # 2026-11-01
_YEARS_MS = 600 * 86_400_000
_AT_ONCE = 4_000  # messages a transaction
_WORDS = 30_000
_LONGEST_ODD = 2_000  # characters; a few longer ones would be most of a small database
_SYLLABLES = ("ka", "lo", "mi", "ter", "an", "so", "ru", "vel", "po", "in", "sha", "du", "ex", "gri", "wo", "ne")
# Of every ten conversations six are proposals' threads, three a job's, and one is a channel.
_PROPOSAL_THREADS, _CHANNEL = 6, 9
_MOST_UNREAD = 100

Row = dict[str, Any]


def make_world(path: Path, *, messages: int, conversations: int) -> None:
    """Write so many messages in so many conversations, with what hangs on them, into a new database."""
    world = _World(conversations, messages)
    with open_writer(path) as writer:
        note_texts(writer.connection)
        with writer.transaction() as connection:
            world.write_jobs(connection)
        rows = world.write_threads()
        while batch := list(islice(rows, _AT_ONCE)):
            with writer.transaction() as connection:
                world.write(connection, batch)


class _World:
    """What is made up, in the order in which a first pass would meet it."""

    def __init__(self, conversations: int, messages: int) -> None:
        self.rng = random.Random(7)  # noqa: S311 - made-up data wants a seed
        self.change_id = 0
        weights = [self.rng.lognormvariate(0, 1.1) for _ in range(conversations)]
        ends = [round(messages * part / sum(weights)) for part in accumulate(weights)]
        self.lengths = [end - start for start, end in zip([0, *ends], ends, strict=False)]
        self.words = [self._make_word(number) for number in range(_WORDS)]
        self.odds = [1 / (rank + 2) for rank in range(_WORDS)]  # as words are spread in any language
        self.cumulated = list(accumulate(self.odds))
        self.strange = [text for text in texts.ODD if len(text) <= _LONGEST_ODD]

    def _make_word(self, number: int) -> str:
        return "".join(self.rng.choices(_SYLLABLES, k=1 + number.bit_length() // 4))

    def new_id(self) -> str:
        text = f"{self.rng.getrandbits(128):032x}"
        return "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))

    def write(self, database: sqlite3.Connection, rows: list[tuple[str, Row]]) -> None:
        """Insert rows, each with its table's name."""
        self.change_id += 1
        tables: dict[tuple[str, ...], list[Row]] = {}
        for table, row in rows:
            tables.setdefault((table, *row), []).append(row)
        for (table, *names), many in tables.items():
            seen = ["account", "change_id"]
            if table not in ("accounts", "events", "message_revisions"):
                seen += ["first_seen_at", "changed_at"]
            values = {"account": "acme", "change_id": self.change_id, "first_seen_at": iso(NOW_MS)}
            values["changed_at"] = values["first_seen_at"]
            columns = [*seen, *names]
            marks = ", ".join(f":{name}" for name in columns)
            sql = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})"  # noqa: S608 - names of our own
            database.executemany(sql, [values | row for row in many])
        database.execute("UPDATE _counters SET value = ? WHERE name = 'change_id'", (self.change_id,))

    def write_jobs(self, database: sqlite3.Connection) -> None:
        """The account and its jobs."""
        account = {"source": "opentrain", "base_url": "https://app.opentrain.ai", "state": "ok"}
        jobs = [
            (
                "jobs",
                {"id": f"job-{n}", "title": f"{title} {n // len(texts.JOB_TITLES) or ''}".strip(), "status": "OPEN"},
            )
            for n, title in enumerate(texts.JOB_TITLES * 5)
        ]
        self.jobs = [row["id"] for _, row in jobs]
        self.write(database, [("accounts", account | {"last_success_at": iso(NOW_MS)}), *jobs])

    def write_threads(self) -> Iterator[tuple[str, Row]]:
        """Every other row, conversation by conversation."""
        for number, length in enumerate(self.lengths):
            kind = number % 10
            job, talk = self.rng.choice(self.jobs), self.new_id()
            start = NOW_MS - self.rng.randrange(_YEARS_MS // 10, _YEARS_MS)
            proposal = self.new_id() if kind < _PROPOSAL_THREADS else None
            if proposal is not None:
                yield from self._propose(proposal, job, start)
            said = list(self._write_messages(talk, length, start))
            yield from said
            waiting = _count_waiting([row for table, row in said if table == "messages"])
            last: Row = next((row for table, row in reversed(said) if table == "messages"), {})
            yield "conversations", {
                "id": talk, "type": "DIRECT_MESSAGE" if proposal else "JOB_DM", "bucket": "inbox", "job_id": job,
                "proposal_id": proposal, "channel_name": self.rng.choice(texts.CHANNELS) if kind == _CHANNEL else None,
                "last_message_id": last.get("id"), "last_message_at": last.get("created_at"),
                "updated_at": last.get("created_at", iso(start)), "needs_reply_count": waiting,
                "unread_count": waiting if number % max(1, len(self.lengths) // _MOST_UNREAD) == 0 else 0,
            }  # fmt: skip

    def _propose(self, proposal: str, job: str, at: int) -> Iterator[tuple[str, Row]]:
        candidate = self.new_id()
        code, _ = self.rng.choice(texts.COUNTRIES)
        name = texts.masked_name(self.rng)
        yield "candidates", {"id": candidate, "name": name, "title": "Annotator", "country_code": code}
        yield "proposals", {"id": proposal, "job_id": job, "candidate_id": candidate, "created_at": iso(at)}
        if self.rng.random() < 0.6:  # more than half are interviewed
            score = self.rng.choice((86, 8.6, 72, 9, 64.25, None))
            yield "interviews", {"proposal_id": proposal, "interview_id": self.new_id(), "score": score}
            for seq, (question, answer) in enumerate(zip(texts.QUESTIONS, texts.ANSWERS, strict=False)):
                for turn, (role, text) in enumerate((("interviewer", question), ("candidate", answer))):
                    place = {"proposal_id": proposal, "id": self.new_id(), "seq": 2 * seq + turn}
                    sent_at = iso(at + (2 * seq + turn) * 45_000)
                    yield "interview_messages", place | {"role": role, "content": text, "sent_at": sent_at}

    def _write_messages(self, talk: str, length: int, start: int) -> Iterator[tuple[str, Row]]:
        """A thread: some system lines, a little more from them than from us, an edit now and then."""
        sender, at = self.new_id(), start
        step = max(1, (NOW_MS - start) // (length + 1))
        for _ in range(length):
            at += round(step * self.rng.random() * 2)
            chance = self.rng.random()
            at = min(at, NOW_MS)
            ours, system = chance > 0.54, chance < 0.06  # shares of all messages
            row = {
                "id": self.new_id(), "conversation_id": talk, "created_at": iso(at), "updated_at": iso(at),
                "sender_user_id": "viewer" if ours else sender, "is_from_viewer": int(ours), "is_system": int(system),
                "content": self._say(ours=ours, system=system), "message_type": "SYSTEM" if system else "TEXT",
                "has_unread_flag": 0, "attachment_count": 0, "has_audio": 0, "reaction_count": 0,
            }  # fmt: skip
            yield "messages", row
            if chance > 0.99:  # one in a hundred was edited
                old = {"message_id": row["id"], "revision": 1, "content": "as it was", "edited_at": iso(at)}
                yield "message_revisions", old
            if at > NOW_MS - _YEARS_MS // 60:
                event = {"kind": "message.new", "conversation_id": talk, "message_id": row["id"]}
                yield "events", event | {"occurred_at": iso(at), "recorded_at": iso(at), "logged_at": iso(at)}

    def _say(self, *, ours: bool, system: bool) -> str:
        """A sentence of the simulator's in any script, or one of many words as common as those of a language."""
        chance = self.rng.random()
        if system:
            return self.rng.choice(texts.SYSTEM)
        if chance < 0.01:  # one in a hundred is odd
            return self.rng.choice(self.strange)
        if chance < 0.4:  # two in five are the simulator's
            return self.rng.choice(texts.OUTBOUND if ours else texts.INBOUND)
        return " ".join(self.rng.choices(self.words, cum_weights=self.cumulated, k=self.rng.randint(3, 30)))


def _count_waiting(messages: list[Row]) -> int:
    """How many of theirs came after our last one."""
    count = 0
    for row in reversed(messages):
        if row["is_from_viewer"]:
            return count
        count += not row["is_system"]
    return count

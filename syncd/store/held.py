"""Read what a plan needs to know, in the transaction that will apply it."""

from collections.abc import Iterable
from sqlite3 import Connection
from typing import Any

from msgspec import json
from msgspec.structs import replace

from syncd.core import held
from syncd.core.model import Conversation
from syncd.core.plan import Account, Failure, Memo, Owed
from syncd.core.thread import Errand
from syncd.store import rows

_memo = json.Decoder(Memo)
_errand = json.Decoder(Errand)


def fetch_one(connection: Connection, sql: str, *parameters: Any) -> Any:
    """The first row of a query, or None."""
    return connection.execute(sql, parameters).fetchone()


def fetch_ids(connection: Connection, sql: str, *parameters: Any) -> frozenset[str]:
    """The first column of a query, as a set."""
    return frozenset(row[0] for row in connection.execute(sql, parameters))


def listed(ids: Iterable[str]) -> str:
    """Any number of ids as one parameter, for json_each()."""
    return json.encode(list(ids)).decode()


def load_account(connection: Connection, account: str, change_id: int) -> held.HeldAccount:
    """The account itself."""
    return held.HeldAccount(
        account=_load_row(connection, account), memo=load_memo(connection, account), change_id=change_id
    )


_ACCOUNT = f"SELECT {', '.join(Account.__struct_fields__)} FROM accounts WHERE account = ?"  # noqa: S608 - names of our own


def _load_row(connection: Connection, account: str) -> Account | None:
    row = fetch_one(connection, _ACCOUNT, account)
    return None if row is None else Account(**dict(zip(Account.__struct_fields__, row, strict=True)))


def load_memo(connection: Connection, account: str) -> Memo:
    """What is remembered of the account beside its row."""
    row = fetch_one(connection, "SELECT state FROM _accounts WHERE account = ?", account)
    return Memo() if row is None else _memo.decode(row[0])


def known_account(connection: Connection, account: str) -> Account:
    """The account, or an empty one before it was first seen."""
    return _load_row(connection, account) or Account(source="", base_url="")


def load_owed(connection: Connection, account: str, kind: str, ids: Iterable[str]) -> dict[str, Owed]:
    """The debts of one kind, by subject."""
    sql = (
        "SELECT subject_id, due_at, payload, version FROM _owed"
        " WHERE account = ? AND kind = ? AND subject_id IN (SELECT value FROM json_each(?))"
    )
    return {
        subject: Owed(
            kind=kind,
            subject_id=subject,
            due_at=due_at,
            errand=None if payload is None else _errand.decode(payload),
            version=version,
        )
        for subject, due_at, payload, version in connection.execute(sql, (account, kind, listed(ids)))
    }


def load_failure(connection: Connection, account: str, kind: str, subject_id: str) -> Failure | None:
    """The row in `failures` of that subject."""
    row = fetch_one(
        connection,
        "SELECT kind, subject_id, reason, request_id, tries, first_failed_at, next_try_at FROM failures"
        " WHERE account = ? AND kind = ? AND subject_id = ?",
        account,
        kind,
        subject_id,
    )
    return None if row is None else Failure(**dict(zip(Failure.__struct_fields__, row, strict=True)))


def first(found: list[Any]) -> Any:
    """The first of what was found, or None."""
    return found[0] if found else None


def load_suspected(connection: Connection, account: str, kind: str, ids: Iterable[str]) -> frozenset[str]:
    """Those of the ids that are suspected to be gone."""
    return fetch_ids(
        connection,
        "SELECT subject_id FROM _suspects WHERE account = ? AND kind = ?"
        " AND subject_id IN (SELECT value FROM json_each(?))",
        account,
        kind,
        listed(ids),
    )


def load_entries(
    connection: Connection, account: str, entries: Iterable[Conversation], *, proposals: Iterable[str] = ()
) -> held.HeldEntries:
    """What is held of the conversations that a list names."""
    seen = list(entries)
    ids, wanted = [entry.id for entry in seen], [*proposals, *(e.proposal_id for e in seen if e.proposal_id)]
    found = rows.select(
        connection, Conversation, "account = ? AND id IN (SELECT value FROM json_each(?))", (account, listed(ids))
    )
    failing = "SELECT subject_id FROM failures WHERE account = ? AND kind = 'conversation'"
    known = "SELECT id FROM proposals WHERE account = ? AND id IN (SELECT value FROM json_each(?))"
    return held.HeldEntries(
        account=known_account(connection, account),
        memo=load_memo(connection, account),
        conversations={row.id: row for row in found},
        owed=load_owed(connection, account, "conversation", ids),
        failing=fetch_ids(connection, failing, account),
        proposals=fetch_ids(connection, known, account, listed(wanted))
        | frozenset(load_owed(connection, account, "proposal", wanted)),
        unread={},
        suspects=load_suspected(connection, account, "conversation", ids),
    )


def load_named(
    connection: Connection, account: str, messages: Iterable[tuple[str, str]], proposals: Iterable[str]
) -> held.HeldEntries:
    """The same for what the server's feed names: (conversation, message) pairs, and proposals."""
    pairs = list(messages)
    known = load_entries(connection, account, [Conversation(id=id_) for id_, _ in pairs], proposals=proposals)
    sql = "SELECT id FROM messages WHERE account = ? AND id IN (SELECT value FROM json_each(?))"
    return replace(known, messages=fetch_ids(connection, sql, account, listed(id_ for _, id_ in pairs)))


def load_listing(connection: Connection, account: str, listed: frozenset[str] | None) -> held.HeldListing:
    """What a walk down the list is weighed against; None: it was not walked whole."""
    memo = load_memo(connection, account)
    if listed is None:
        return held.HeldListing(memo=memo)
    ids = fetch_ids(connection, "SELECT id FROM conversations WHERE account = ? AND gone_at IS NULL", account)
    return held.HeldListing(memo=memo, unlisted=ids - listed)


def load_unread(connection: Connection, account: str, entries: Iterable[Conversation]) -> held.HeldEntries:
    """The same, with every conversation that counts as unread here."""
    known = load_entries(connection, account, entries)
    unread = rows.select(connection, Conversation, "account = ? AND unread_count > 0", (account,))
    owed = load_owed(connection, account, "conversation", [row.id for row in unread])
    return replace(known, unread={row.id: row for row in unread}, owed=known.owed | owed)

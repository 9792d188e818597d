"""The schema is what the contract says, and what the Python classes say."""

import sqlite3
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Table

from syncd.core.catalogue import Relation
from syncd.core.model import Row
from syncd.core.sources import SOURCES
from syncd.store.database import APPLICATION_ID, SCHEMA_VERSION
from syncd.store.migrate import load_migrations, migrate
from syncd.store.tables import TableRow, describe_catalogue

MIRRORED = {
    "conversations": "account id type bucket job_id proposal_id channel_name title updated_at last_message_id "
    "last_message_at unread_count needs_reply_count",
    "messages": "account id conversation_id job_id sender_user_id sender_name is_from_viewer content message_type "
    "is_system has_unread_flag attachment_count has_audio reaction_count created_at updated_at edited_at",
    "jobs": "account id title status created_at updated_at",
    "candidates": "account id name slug title country_code erased_at",
    "proposals": "account id job_id job_title candidate_id status status_label bid_amount_usd bid_unit "
    "interview_score match_score transcript_available created_at updated_at",
    "interviews": "account proposal_id interview_id score summary",
    "interview_messages": "account proposal_id id seq role content sent_at",
}
OWN = {
    "accounts": "account source base_url viewer_user_id state state_since first_started_at complete_since "
    "last_success_at last_reconciled_at retry_at last_error removed_at",
    "message_revisions": "account message_id revision content edited_at replaced_at",
    "failures": "account kind subject_id reason request_id tries first_failed_at next_try_at",
    "events": "id account kind conversation_id message_id proposal_id baseline occurred_at recorded_at logged_at data",
    "outbox": "id account conversation_id content state created_at expires_at attempted_at message_id error",
    "sync_runs": "id account kind started_at finished_at requests rows_written error",
}
VIEWS = {
    "inbox": "account source conversation_id type bucket title job_id job_title proposal_id candidate_id "
    "candidate_name unread_count needs_reply_count last_message_id last_message_at last_sender last_message "
    "waiting_seconds gone_at",
    "thread": "account conversation_id message_id sent_at sender direction content edited_at gone_at",
    "response_times": "account conversation_id bucket job_id proposal_id asked_message_id asked_at "
    "answered_message_id answered_at seconds",
    "daily_activity": "account day inbound outbound system_messages active_conversations",
    "interview_results": "account proposal_id interview_id job_id job_title candidate_id candidate_name score "
    "summary question_count last_message_at",
    "freshness": "account source state complete_since last_success_at age_seconds last_reconciled_at retry_at failures",
}
VIEWS |= {"unread": VIEWS["inbox"], "needs_reply": VIEWS["inbox"]}
KEYS = {
    "accounts": "account",
    "message_revisions": "account message_id revision",
    "interviews": "account proposal_id",
    "interview_messages": "account proposal_id id",
    "failures": "account kind subject_id",
    "events": "id",
    "outbox": "id",
    "sync_runs": "id",
}
EVERY_MIRRORED = "first_seen_at changed_at change_id gone_at extra"


def names(connection: sqlite3.Connection, kind: str) -> set[str]:
    """The names of all tables, or all views, less SQLite's own and those that its full text search keeps for itself."""
    rows = connection.execute(
        "SELECT name FROM sqlite_master WHERE type = ? AND name NOT LIKE 'sqlite%'"
        " AND name <> '_search' AND (name NOT GLOB '_search_*' OR name = '_search_due')",
        (kind,),
    )
    return {row[0] for row in rows}


def columns(connection: sqlite3.Connection, table: str) -> list[sqlite3.Row]:
    """What SQLite says of a table's columns."""
    return connection.execute(f"PRAGMA table_info({table})").fetchall()


def test_has_the_contracts_tables_and_views(database: sqlite3.Connection) -> None:
    """There is no public table or view but the contract's."""
    public = {name for name in names(database, "table") if not name.startswith("_")}
    assert public == MIRRORED.keys() | OWN.keys()
    assert names(database, "view") == VIEWS.keys()


@pytest.mark.parametrize("table", sorted(MIRRORED | OWN))
def test_tables_have_the_contracts_columns(database: sqlite3.Connection, table: str) -> None:
    """A table has the contract's columns and key, and a mirrored one what every mirrored table has."""
    expected = f"{MIRRORED[table]} {EVERY_MIRRORED}" if table in MIRRORED else f"{OWN[table]} change_id"
    found = columns(database, table)
    assert {row["name"] for row in found} == set(expected.split())
    key = [row["name"] for row in sorted(found, key=lambda row: int(row["pk"])) if row["pk"]]
    assert key == KEYS.get(table, "account id").split()


@pytest.mark.parametrize("view", VIEWS)
def test_views_have_the_contracts_columns(database: sqlite3.Connection, view: str) -> None:
    """A view has the contract's columns in its order."""
    assert [row["name"] for row in columns(database, view)] == VIEWS[view].split()


def test_declares_plain_types_only(database: sqlite3.Connection) -> None:
    """Every column of every table is TEXT, INTEGER or REAL, which any tool understands."""
    for table in names(database, "table"):
        assert {row["type"] for row in columns(database, table)} <= {"TEXT", "INTEGER", "REAL"}, table


def test_every_change_id_is_indexed(database: sqlite3.Connection) -> None:
    """Increments are taken by an index in every table."""
    for table in names(database, "table"):
        if any(row["name"] == "change_id" for row in columns(database, table)):
            plan = database.execute(f"EXPLAIN QUERY PLAN SELECT * FROM {table} WHERE change_id > 5").fetchall()  # noqa: S608 - our own names
            assert "_change (change_id>?)" in plan[0]["detail"], table


def test_the_contracts_index_exists(database: sqlite3.Connection) -> None:
    """`messages(account, conversation_id, created_at, id)` is an index over all messages."""
    found = database.execute("SELECT sql FROM sqlite_master WHERE name = 'messages_thread'").fetchone()[0]
    assert found == "CREATE INDEX messages_thread ON messages (account, conversation_id, created_at, id)"


def test_an_events_number_is_never_given_again(database: sqlite3.Connection, insert: Any) -> None:
    """The next event after a deleted newest one has a higher id."""
    insert("events", kind="message.new")
    database.execute("DELETE FROM events")
    insert("events", kind="message.new")
    assert database.execute("SELECT id FROM events").fetchone()[0] == 2


def declared(table: Table) -> dict[str, tuple[str, bool, int]]:
    """Type, NOT NULL and place in the key of every column, in SQLite's words."""
    key = [column.name for column in table.primary_key.columns]
    kinds = {"VARCHAR": "TEXT", "FLOAT": "REAL", "INTEGER": "INTEGER", "BOOLEAN": "INTEGER"}
    return {
        column.name: (
            kinds[str(column.type)],
            not column.nullable,
            key.index(column.name) + 1 if column.name in key else 0,
        )
        for column in table.columns
    }


def test_the_catalogue_is_the_schema(database: sqlite3.Connection) -> None:
    """The catalogue has every public table's columns, types, NOT NULLs and keys, and no other public table."""
    catalogue = {table.name: declared(table) for table in TableRow.metadata.tables.values()}
    migrated = {
        # An INTEGER PRIMARY KEY can't be NULL and does not say so.
        table: {row["name"]: (row["type"], bool(row["notnull"] or row["pk"]), row["pk"]) for row in found}
        for table in names(database, "table")
        if not table.startswith("_")
        for found in [columns(database, table)]
    }
    assert catalogue == migrated


def test_the_catalogue_has_every_view(database: sqlite3.Connection) -> None:
    """The catalogue has the views' columns, in their order."""
    assert {view.name: list(view.names) for view in describe_catalogue().views} == {
        view: [row["name"] for row in columns(database, view)] for view in names(database, "view")
    }


@pytest.mark.parametrize(
    "relation", [*describe_catalogue().tables, *describe_catalogue().views], ids=lambda one: one.name
)
def test_everything_is_described(relation: Relation) -> None:
    """Each column says what it is, and what NULL means there exactly where it may be NULL; numbers have a meaning."""
    assert relation.description.endswith(".")
    assert set(relation.key) <= set(relation.names)
    for column in relation.columns:
        assert column.description.endswith("."), column.name
        assert column.null is None or (column.null and not column.null.endswith(".")), column.name
        if column.type == "real":
            assert column.unit or column.scale, column.name
    table = TableRow.metadata.tables.get(relation.name)
    if table is not None:
        nullable = {column.name for column in table.columns if column.nullable}
        assert {column.name for column in relation.columns if column.null is not None} == nullable


def test_the_newest_migration_is_the_version() -> None:
    """The version that readers know is the last migration's, and the numbers have no gap."""
    numbers = [migration.version for migration in load_migrations()]
    assert numbers == list(range(1, SCHEMA_VERSION + 1))


def test_the_database_says_whose_it_is(database: sqlite3.Connection) -> None:
    """A migrated database carries our application id and the schema's version."""
    assert database.execute("PRAGMA application_id").fetchone()[0] == APPLICATION_ID
    assert database.execute("PRAGMA user_version").fetchone()[0] == SCHEMA_VERSION


def test_views_use_nothing_newer_than_sqlite_3_31() -> None:
    """No view contains a word that SQLite learnt after 3.31."""
    script = "".join(migration.script for migration in load_migrations()).lower()
    newer = ("iif(", "unixepoch", "->", "returning", "materialized", "strict;", "format(", "full join", "right join")
    assert [word for word in newer if word in script] == []


def test_the_sql_files_are_package_data() -> None:
    """The migrations are found as resources of the installed package."""
    assert any(Path(entry.name).suffix == ".sql" for entry in files("syncd.store.migrations").iterdir())


def test_the_views_know_every_source_and_name_none(database: sqlite3.Connection) -> None:
    """What the views ask is what this program knows of its sources, also where an older one has written it."""
    database.execute("DELETE FROM _sources WHERE source = 'openats'")
    database.execute("UPDATE _sources SET has_viewer = 0")
    migrate(database, Path("memory"), load_migrations())
    found = {tuple(row) for row in database.execute("SELECT source, has_viewer, names_subjects FROM _sources")}
    assert found == {(kind.name, kind.has_viewer, kind.names_subjects) for kind in SOURCES.values()}
    views = [row["sql"] for row in database.execute("SELECT sql FROM sqlite_master WHERE type = 'view'")]
    views.append((files("syncd.publish.schema") / "views.sql").read_text(encoding="utf-8"))
    assert [name for name in SOURCES for view in views if f"'{name}'" in view] == []


@pytest.mark.parametrize("kind", Row.__subclasses__(), ids=lambda kind: str(kind.table))
def test_the_values_are_the_tables(database: sqlite3.Connection, kind: type[Row]) -> None:
    """A mirrored table has the columns and the key of the values that are written into it, and the store's own."""
    found = columns(database, kind.table)
    assert {row["name"] for row in found} == {"account", "first_seen_at", "changed_at", "change_id"} | set(
        kind.__struct_fields__
    )
    assert {row["name"] for row in found if row["pk"]} == {"account", *kind.key}

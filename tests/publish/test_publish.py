import shutil
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Any

import psycopg
import pytest

from homes import Home
from postgres import PostgresServer
from publish.pair import CATALOGUE, TABLES, TARGET_0_1
from publish.station import Station
from syncd.publish import publisher
from syncd.publish.postgres import Timeouts, connect
from syncd.publish.publisher import Done, Publisher
from syncd.publish.target import POSTGRES_TYPES
from syncd.store.erase import delete_rows, next_change
from syncd.store.migrate import open_writer
from syncd.store.published import ChangedRows


def change_much(station: Station) -> None:
    """New, edited, deleted and read messages, a left conversation, and a pass that finds it all."""
    world = station.sim.world
    ids = [id for id in world.truth()["conversations"] if len(world.truth()["messages"][id]) > 2]
    world.burst(ids[0], 3)
    first = world.truth()["messages"][ids[1]][0]["id"]
    world.edit_message(ids[1], first, "Said better now.")
    world.delete_message(ids[2], world.truth()["messages"][ids[2]][0]["id"])
    world.read_conversation(ids[3])
    world.add_message(ids[4], "And this.", from_viewer=True)
    station.sync("--full")


def publish_here(station: Station, on_batch: Callable[[Done], None]) -> Done:
    """Publish once in this very process."""
    timeouts = Timeouts()
    with ExitStack() as stack:
        changes = stack.enter_context(closing(ChangedRows(station.home.db, CATALOGUE.tables)))
        stack.enter_context(timeouts.heeding())
        one = Publisher(changes, CATALOGUE, lambda: connect(station.url, None, "target", "syncd"), timeouts)
        return stack.enter_context(closing(one)).catch_up(on_batch)


def test_everything_is_there_and_nothing_is_written_again(station: Station) -> None:
    """A first publish is the mirror row by row, view by view; the next one writes nothing."""
    done = station.publish_well()
    assert done["rows"] == sum(station.home.value(f"SELECT count(*) FROM {table}") for table in TABLES)  # noqa: S608 - our own names
    with station.pair() as pair:
        pair.compare_tables()
        pair.compare_views()
    marks = station.marks()
    assert station.publish_well() == done | {"rows": 0}
    assert station.marks() == marks


def test_only_what_changed_travels(station: Station) -> None:
    """After changes of every kind the target is the mirror again, and rows that did not change were not touched."""
    before = station.publish_well()["change_id"]
    marks = station.marks()
    change_much(station)
    done = station.publish_well()
    assert station.differences() == []
    changed = station.home.value("SELECT count(*) FROM messages WHERE change_id > ?", before)
    untouched = {mark for mark in marks & station.marks() if mark[0] == "messages"}
    assert changed > 0
    assert len(untouched) == station.home.value("SELECT count(*) FROM messages WHERE change_id <= ?", before)
    assert done["rows"] < len(marks)


def test_what_is_erased_here_goes_there(station: Station) -> None:
    """A purge says that its rows are still to be removed there, until a publish has removed them; status knows."""
    station.publish_well()
    candidate = station.home.rows("SELECT candidate_id FROM proposals WHERE candidate_id IS NOT NULL")[0][
        "candidate_id"
    ]
    ended = station.home.run("purge", "--candidate", candidate, "--yes")
    assert f"Still to be removed from {station.url}" in ended.out
    assert station.ask(f"SELECT 1 FROM candidates WHERE id = '{candidate}'")  # noqa: S608 - an id of our own
    assert station.status()["to_remove"] > 0
    assert "still to be removed there" in station.home.run("status").out
    assert station.publish_well()["removed"] > 0
    assert station.differences() == []
    assert not station.ask(f"SELECT 1 FROM candidates WHERE id = '{candidate}'")  # noqa: S608 - the same
    assert station.status()["to_remove"] == 0


def test_again_from_nothing_changes_nothing(station: Station) -> None:
    """When the target has forgotten the place, everything is compared: no right row is written, a strange one goes."""
    station.publish_well()
    marks = station.marks()
    with psycopg.connect(station.url) as target:
        target.execute("DELETE FROM syncd._publish")
        target.execute("INSERT INTO syncd.sync_runs (account, id, kind, change_id) VALUES ('acme', 999, 'x', 1)")
    done = station.publish_well()
    assert (done["rows"], done["removed"]) == (0, 1)
    assert station.marks() == marks
    marks = station.marks()
    assert station.publish_well("--take-over")["rows"] == 0
    assert station.marks() == marks


def test_many_publish_into_one(station: Station, other: Station) -> None:
    """Two machines that begin at the same time make one schema, which then is the sum of their mirrors."""
    other.sync()
    runs = [one.home.start("publish", one.url) for one in (station, other, station, other)]
    assert [run.end().code for run in runs] == [0, 0, 0, 0]
    for table in ("messages", "events", "sync_runs"):
        here, there = (one.home.value(f"SELECT count(*) FROM {table}") for one in (station, other))  # noqa: S608 - our own
        assert station.ask(f"SELECT count(*) FROM {table}") == [(here + there,)]  # noqa: S608 - the same
    assert {account for (account,) in station.ask("SELECT account FROM _publish")} == {"acme", "beta"}
    for one in (station, other):
        with one.pair() as pair:
            lost = [difference for difference in pair.differences() if difference.startswith("lost")]
        assert lost == []


def test_a_second_database_with_the_same_account_is_refused(station: Station, other: Station) -> None:
    """Who comes second ends with 78 and is told what to do; its other accounts are published all the same."""
    station.publish_well()
    marks = station.marks()
    other.home.configure({name: {"base_url": other.sim.url} for name in ("acme", "gamma")})
    other.sync()
    refused = other.publish()
    assert refused.code == 78
    assert "account acme is published there by another database" in refused.err
    assert "--take-over" in refused.err
    assert marks <= station.marks()
    assert station.ask("SELECT account, place > 0 FROM _publish ORDER BY 1") == [("acme", True), ("gamma", True)]
    other.publish_well("--take-over")
    assert other.differences() == []
    assert station.publish().code == 78


def test_a_restored_backup_is_noticed(station: Station) -> None:
    """A database that went back, even one that has since gone past the place, is refused; taken over, it is exact."""
    backup = station.home.path / "backup.db"
    assert station.home.run("backup", str(backup)).code == 0
    change_much(station)
    place = station.publish_well()["change_id"]
    for name in (station.home.db, *station.home.db.parent.glob("syncd.db-*")):
        name.unlink()
    shutil.copy(backup, station.home.db)
    ended = station.publish()
    assert ended.code == 78
    assert "was a backup restored?" in ended.err
    while station.home.value("SELECT value FROM _counters WHERE name = 'change_id'") <= place:
        station.sim.world.burst(next(iter(station.sim.world.truth()["conversations"])), 1)
        station.sync()
    assert station.publish().code == 78
    station.publish_well("--take-over")
    assert station.differences() == []


def test_a_restart_of_the_mirror_is_no_other_line_of_history(station: Station) -> None:
    """Processes that open and change the database one after the other are one history."""
    station.publish_well()
    for _ in range(3):
        change_much(station)
        station.publish_well()
    assert station.differences() == []
    assert station.home.value("SELECT count(*) FROM _lineage") > 3


def test_a_newer_schema_is_refused(station: Station) -> None:
    """A target that a newer syncd made is left as it is, with 78 and what to do."""
    station.publish_well()
    with psycopg.connect(station.url) as target:
        target.execute("INSERT INTO syncd._schema_version (version) VALUES (1000)")
    ended = station.publish()
    assert (ended.code, ended.err.count("\n")) == (78, 1)
    assert "update syncd" in ended.err


def test_a_target_of_version_0_1_is_brought_up(station: Station) -> None:
    """It becomes what a new target is, column by column and view by view; its rows stay and are not written again."""
    with psycopg.connect(station.url) as target:
        target.execute("CREATE SCHEMA syncd")
        target.execute("SET search_path TO syncd")
        target.execute(TARGET_0_1.read_bytes())
    held = describe_target(station)
    station.publish_well()
    marks = station.marks()
    assert describe_target(station).keys() >= held.keys()
    with psycopg.connect(station.url) as target:
        target.execute("DROP VIEW syncd.unread")
        target.execute("DELETE FROM syncd._schema_version WHERE version > 2")
    assert station.publish_well()["rows"] == 0
    assert station.marks() == marks
    station.publish_well("--schema", "new")
    assert describe_target(station) == describe_target(station, "new")
    with station.pair() as pair:
        pair.compare_tables()
        pair.compare_views()


def describe_target(station: Station, schema: str = "syncd") -> dict[str, tuple[Any, ...]]:
    """Each column of the schema's public tables and views, each view, index and comment."""
    with psycopg.connect(station.url, autocommit=True, options=f"-c search_path={schema}") as target:
        columns = target.execute(
            "SELECT table_name || '.' || column_name, data_type, is_nullable, collation_name,"
            " col_description((%(schema)s || '.' || table_name)::regclass, ordinal_position)"
            " FROM information_schema.columns WHERE table_schema = %(schema)s",
            {"schema": schema},
        ).fetchall()
        views = target.execute(
            "SELECT viewname, regexp_replace(definition, %(schema)s || '[.]', '', 'g'),"
            " obj_description((%(schema)s || '.' || viewname)::regclass) FROM pg_views WHERE schemaname = %(schema)s",
            {"schema": schema},
        ).fetchall()
        indexes = target.execute(
            "SELECT 'index ' || indexname, replace(indexdef, %(schema)s || '.', '') FROM pg_indexes"
            " WHERE schemaname = %(schema)s",
            {"schema": schema},
        ).fetchall()
    return {row[0]: row[1:] for row in (*columns, *views, *indexes)}


def test_every_column_there_has_the_catalogues_type_and_comment(station: Station) -> None:
    """Tables and views are typed and commented as the catalogue says, and there are no others."""
    station.publish_well()
    found = {name: row for name, row in describe_target(station).items() if "." in name and not name.startswith("_")}
    kinds = {"timestamptz": "timestamp with time zone", 'text COLLATE "C"': "text"}
    assert {name: (row[0], row[3]) for name, row in found.items()} == {
        f"{relation.name}.{column.name}": (
            kinds.get(POSTGRES_TYPES[column.type], POSTGRES_TYPES[column.type]),
            column.comment,
        )
        for relation in (*CATALOGUE.tables, *CATALOGUE.views)
        for column in relation.columns
    }


def test_a_column_that_is_new_there_is_filled(station: Station) -> None:
    """What a newer version adds to a published table is written into the rows that are there, and only into those."""
    station.publish_well()
    marks = station.marks()
    with psycopg.connect(station.url) as target:
        target.execute("ALTER TABLE syncd.messages DROP COLUMN has_audio")
        target.execute("DELETE FROM syncd._schema_version WHERE version > 2")
    station.publish_well()
    assert station.differences() == []
    assert {mark for mark in marks if mark[0] != "messages"} <= station.marks()


def test_a_schema_of_another_name(station: Station) -> None:
    """--schema puts it elsewhere in the same database; both are whole."""
    station.publish_well()
    station.publish_well("--schema", "second")
    assert station.ask("SELECT count(*) FROM second.messages") == station.ask("SELECT count(*) FROM messages")


def test_small_batches_come_to_the_same(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    """In batches of a few rows, first copied and then put in their places, the target is the mirror again."""
    monkeypatch.setattr(publisher, "_BATCH_ROWS", 1)
    batches: list[Done] = []
    publish_here(station, batches.append)
    assert len(batches) > 3
    assert station.differences() == []
    change_much(station)
    assert publish_here(station, batches.append).rows > 0
    assert station.differences() == []


def test_what_changes_under_a_first_publish(station: Station, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows that were copied already and change, or go, before the last batch are changed, or go, in the target too."""
    monkeypatch.setattr(publisher, "_BATCH_ROWS", 1)
    batches: list[Done] = []

    def disturb(batch: Done) -> None:
        batches.append(batch)
        if len(batches) in (2, 4):
            copied = station.ask("SELECT id FROM messages ORDER BY id LIMIT 2")
            with open_writer(station.home.db) as writer, writer.transaction() as connection:
                change = next_change(connection)
                (first,), (second,) = copied
                connection.execute("UPDATE messages SET content = ?, change_id = ? WHERE id = ?", ("!", change, first))
                words = {"id": second, "change_id": change}
                delete_rows(connection, "messages", "account, id", "id = :id", words)

    publish_here(station, disturb)
    assert len(batches) > 4
    assert station.differences() == []


def test_what_postgresql_has_no_room_for(station: Station) -> None:
    """NUL in a text, and in JSON, becomes U+FFFD; every other character and an escape that only looks so stay."""
    odd = ("a\0b", "\ufffe 👍 \\N \t\r\n \\. quote' \"", '{"n": "x\\u0000y", "k\\u0000": ["\\\\u0000"], "n2": 1.5}')
    with open_writer(station.home.db) as writer, writer.transaction() as connection:
        connection.execute("UPDATE _counters SET value = value + 1 WHERE name = 'change_id'")
        (change,) = connection.execute("SELECT value FROM _counters WHERE name = 'change_id'").fetchone()
        connection.execute(
            "UPDATE messages SET content = ?, sender_name = ?, extra = ?, change_id = ?"
            " WHERE id = (SELECT min(id) FROM messages)",
            (*odd, change),
        )
    for _ in range(2):  # copied, then put in its place
        station.publish_well()
        assert station.ask("SELECT content, sender_name, extra FROM messages ORDER BY id LIMIT 1") == [
            ("a\ufffdb", odd[1], {"n": "x\ufffdy", "k\ufffd": ["\\u0000"], "n2": 1.5})
        ]
        with psycopg.connect(station.url) as target:
            target.execute("DELETE FROM syncd._publish")
            target.execute("UPDATE syncd.messages SET content = 'spoilt'")


def test_a_password_is_given_as_a_token_is(station: Station, server: PostgresServer) -> None:
    """By a file of the configuration or libpq's own ways; never on the command line, and never in any output."""
    user, password = "asked", "s3same-öpen"
    server.add_user(user, password)
    with server.connect(station.url.rpartition("/")[2]) as connection:
        connection.execute(f"GRANT ALL ON DATABASE {station.url.rpartition('/')[2]} TO {user}".encode())
    station.url = station.url.replace("syncd@", f"{user}@")
    missing = station.publish()
    assert (missing.code, "asks for a password" in missing.err) == (77, True)
    wrong = station.publish(PGPASSWORD="wrong")
    assert (wrong.code, "check user, password" in wrong.err) == (77, True)
    shown = station.home.run("publish", station.url.replace(user, f"{user}:{password}"))
    assert (shown.code, "can be read by everyone" in shown.err) == (2, True)
    hidden = station.home.run("publish", f"{station.url}?password={password}")
    assert (hidden.code, "can be read by everyone" in hidden.err) == (2, True)
    assert station.publish(PGPASSWORD=password).code == 0
    secret = station.home.path / "password"
    secret.write_text(f"{password}\n", encoding="utf-8")
    secret.chmod(0o600)
    station.configure(publish={"url": station.url, "password_file": str(secret)})
    assert station.home.run("publish").code == 0
    assert station.publish().code == 0  # the same server and user
    assert station.publish(PGPASSWORD="wrong").code == 0
    told = "".join(running.out + running.err for running in station.home.started)
    assert password not in told


def test_each_refusal_says_what_to_do(station: Station, own_server: PostgresServer) -> None:
    """Away 69, no right 77, read-only 69, no such database, no URL and no mirror: one line each."""
    own_server.add_user("guest", "x")
    url = own_server.url("reports")
    name = url.rpartition("/")[2]
    with own_server.connect() as connection:
        connection.execute("CREATE ROLE stranger LOGIN")

    def refusal(address: str) -> tuple[int, str]:
        ended = station.home.run("publish", address)
        assert (ended.err.count("\n"), ended.out) == (1, "")
        return ended.code, ended.err

    code, text = refusal(url.replace("syncd@", "stranger@"))
    assert (code, "GRANT CREATE" in text) == (77, True)
    with own_server.connect() as connection:
        connection.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on".encode())
    code, text = refusal(url)
    assert (code, "only takes reads" in text) == (69, True)
    code, text = refusal(url.replace(name, "nowhere"))
    assert (code, "nowhere" in text) == (69, True)
    own_server.stop()
    code, text = refusal(url)
    assert (code, "can't be reached" in text) == (69, True)
    assert refusal("mysql://x/y")[0] == 2
    nothing = station.home.run("publish")
    assert (nothing.code, "where to?" in nothing.err) == (2, True)


def test_without_a_mirror_there_is_nothing_to_publish(
    station: Station, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Publishing makes no database: without one it ends with 1."""
    empty = Home(tmp_path_factory.mktemp("empty"))
    assert empty.run("publish", station.url).code == 1


def test_ids_with_nul_have_a_row_each(station: Station) -> None:
    """Ids that PostgreSQL has no room for, as an older syncd kept them, neither meet another's nor stop anything."""
    station.publish_well()
    ids = ["odd\0x", "odd\ufffdx", "odd\0\0x"]
    with open_writer(station.home.db) as writer, writer.transaction() as database:
        change_id = next_change(database)
        for id_ in ids:
            database.execute(
                "INSERT INTO messages (account, id, conversation_id, first_seen_at, changed_at, change_id)"
                " SELECT account, ?, conversation_id, first_seen_at, changed_at, ? FROM messages LIMIT 1",
                (id_, change_id),
            )
    assert station.publish_well()["rows"] >= len(ids)
    assert len(station.ask("SELECT 1 FROM messages WHERE id LIKE 'odd%'")) == len(ids)

"""How the doctor goes about it: look at everything that can be looked at, whatever else fails."""

import asyncio
import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from threading import Timer
from typing import TYPE_CHECKING, Any

from syncd.app import ADAPTERS, RealClock, build_client
from syncd.cli.options import Places, find_database, read_accounts_now
from syncd.cli.publishing import connect_target
from syncd.config.credentials import wants_token
from syncd.config.load import load
from syncd.config.models import Account, OpenATSAccount, Settings
from syncd.core.catalogue import Catalogue
from syncd.core.sources import SOURCES
from syncd.core.times import after, seconds_between
from syncd.errors import AuthError, ForbiddenError, NotFoundError, SyncdError
from syncd.ops import doctor as ops
from syncd.ops.disk import measure_free
from syncd.ops.doctor import Finding, judge_permissions, judge_target, problem
from syncd.ops.door import find_holder, find_readers, find_writers
from syncd.publish.address import name_target
from syncd.sources.http import PoliteClient
from syncd.sources.openats import OpenATS
from syncd.sources.specification import fetch_specification, find_differences
from syncd.store.database import describe_schema, find_damage
from syncd.store.published import ChangedRows
from syncd.store.read import measure_files, read_failing, reading

if TYPE_CHECKING:  # slow to import, and only wanted where something is published
    from syncd.config.models import PublishSettings
    from syncd.publish.target import TargetStatus

_PATIENCE_SECONDS = 20.0


def examine(places: Places) -> list[Finding]:
    """Every finding, the installation's first."""
    settings, findings = _examine_configuration(places)
    findings += _examine_database(places, settings)
    if settings is not None:
        findings += asyncio.run(_examine_accounts(settings))
        findings += examine_target(places, settings.publish)
    return findings


def _examine_configuration(places: Places) -> tuple[Settings | None, list[Finding]]:
    try:
        settings = load(places.config, os.environ, db=places.db)
    except SyncdError as error:
        return None, [ops.problem("configuration", str(error))]
    where = settings.config_file or "no file; the account comes from the environment"
    warnings = [ops.warn("configuration", text, "see the configuration") for text in settings.warnings]
    return settings, warnings or [ops.fine("configuration", f"{where}: {', '.join(settings.accounts)}")]


def _examine_database(places: Places, settings: Settings | None) -> list[Finding]:
    try:
        path = find_database(places)
    except SyncdError as error:
        return [
            ops.warn("database", str(error), "make one, if this is not what you expect"),
            _judge_room(settings.db_path if settings else None, 0),
        ]
    group_read = settings is not None and settings.store.group_read
    findings = [judge_permissions(path, group_read=group_read)]
    try:
        sizes = measure_files(path)
        findings.append(_judge_room(path, sizes[0]))
        damage = find_damage(path)
        if damage:
            advice = (
                f"keep the file, and put a backup in its place: one move (mv), with no {path.name}-wal and"
                f" {path.name}-shm left of the old one; a daemon that runs takes it up by itself"
            )
            return [*findings, ops.problem("integrity", "; ".join(damage), advice)]
        findings += [ops.fine("integrity", "the database is sound"), ops.fine("schema", describe_schema(path))]
        holder = find_holder(path)
        findings.append(ops.judge_readers(sizes[1], find_readers(path), holder))
        findings += ops.judge_writers(find_writers(path), holder)
        findings += _examine_rows(path)
    except (SyncdError, OSError) as error:
        findings.append(ops.problem("database", str(error)))
    return findings


def _judge_room(path: Path | None, size: int) -> Finding:
    try:
        return ops.judge_disk(measure_free(path or Path.home()), size)
    except OSError as error:
        return ops.problem("disk", f"it can't be looked at: {error.strerror}", "see that it is mounted")


def _examine_rows(path: Path) -> Iterator[Finding]:
    """What the daemon noted: failures, losses held back, an account in trouble."""
    with reading(path) as database:
        accounts = read_accounts_now(path, database)
        failing = [
            row | {"account": one["account"]} for one in accounts for row in read_failing(database, one["account"])
        ]
    yield from ops.judge_failures(failing)
    for one in accounts:
        yield ops.judge_losses(one["account"], one["loss_guard"])
        if one["state"] not in {"ok", "starting"}:
            text = f"{one['state']} since {one['state_since']}: {one['last_error'] or 'no reason known'}"
            yield ops.problem("state", text, "see the other findings of this account", one["account"])


async def _examine_accounts(settings: Settings) -> list[Finding]:
    parts = await asyncio.gather(*(_examine_account(account) for account in settings.accounts.values()))
    return [finding for part in parts for finding in part]


async def _examine_account(account: Account) -> list[Finding]:
    name = account.name
    try:
        client = build_client(account, os.environ)
    except SyncdError as error:
        return [ops.problem("token", str(error), account=name)]
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            return await _examine_server(account, client)
    except (AuthError, ForbiddenError) as error:
        return [ops.problem("token", str(error), account=name)]
    except SyncdError as error:
        return [ops.problem("reachability", str(error), account=name)]
    except TimeoutError:
        return [ops.problem("reachability", f"{account.base_url} does not answer", "check the network", name)]
    finally:
        await client.close()


async def _examine_server(account: Account, client: PoliteClient) -> list[Finding]:
    name, kind, clock = account.name, SOURCES[account.source], RealClock()
    source = ADAPTERS[account.source](client)
    began = clock.now()
    identity = await source.fetch_identity()
    ours = after(began, seconds_between(began, clock.now()) / 2)
    findings = [ops.fine("reachability", f"{account.base_url} answers", name)]
    if wants_token(account):
        findings.append(ops.fine("token", "the server takes it", name))
    if kind.has_viewer:
        findings.append(ops.judge_scopes(name, identity.scopes))
    findings.append(ops.judge_clock(name, ours, identity.server_time))
    if kind.publishes_specification:
        findings.append(await _compare_specification(name, client))
    if isinstance(account, OpenATSAccount) and isinstance(source, OpenATS):
        findings += [await _check_id(name, "jobs", source.fetch_job, id_) for id_ in _ids(account.jobs)]
        findings += [
            await _check_id(name, "candidates", source.fetch_candidate, id_) for id_ in _ids(account.candidates)
        ]
    return findings


async def _compare_specification(name: str, client: PoliteClient) -> Finding:
    try:
        return ops.judge_specification(name, find_differences(await fetch_specification(client)))
    except NotFoundError:
        return ops.fine("specification", "the server publishes none", name)
    except SyncdError as error:
        return ops.warn("specification", f"it can't be had: {error}", "try again later", name)


def _ids(configured: str | tuple[int, ...]) -> list[str]:
    return [] if isinstance(configured, str) else [str(id_) for id_ in configured]


async def _check_id(name: str, key: str, fetch: Any, id_: str) -> Finding:
    try:
        await fetch(id_)
    except NotFoundError:
        return ops.problem(
            "ids", f"{key}: the server has no {id_}", f"take {id_} out of {key} in the configuration", name
        )
    return ops.fine("ids", f"{key}: {id_} is there", name)


def as_json(findings: list[Finding]) -> Mapping[str, Any]:
    """The findings, for programs."""
    return {"ok": ops.is_well(findings), "findings": [_as_dict(finding) for finding in findings]}


def _as_dict(finding: Finding) -> Mapping[str, Any]:
    return {name: getattr(finding, name) for name in ("check", "account", "verdict", "text", "advice")}


# What the doctor finds where the mirror is published.


_TARGET_SECONDS = 20.0


def examine_target(places: Places, wanted: "PublishSettings | None") -> list[Finding]:
    """Whether it is reached, and how far it is; nothing where nothing is to be published, or nothing is there to be."""
    if wanted is None:
        return []
    from syncd.store.tables import describe_catalogue

    catalogue = describe_catalogue()
    try:
        changes = ChangedRows(find_database(places), catalogue.tables)
    except SyncdError:
        return []  # said already
    try:
        with closing(changes):
            found = _look(changes, catalogue, wanted)
    except SyncdError as error:
        return [problem("publish", str(error))]
    refusals = [str(refusal) for refusal in found.refusals]
    return judge_target(name_target(wanted.url, wanted.schema_name), found.version, found.behind, refusals)


def _look(changes: ChangedRows, catalogue: Catalogue, wanted: "PublishSettings") -> "TargetStatus":
    with closing(connect_target(wanted)) as line, changes.look() as snapshot:
        from syncd.publish.target import read_target_status

        timeouts = Timer(_TARGET_SECONDS, line.cut, [f"has not answered for {_PATIENCE_SECONDS:.0f} s"])
        timeouts.daemon = True
        timeouts.start()
        try:
            return read_target_status(line, snapshot, catalogue)
        finally:
            timeouts.cancel()

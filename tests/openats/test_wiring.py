"""An OpenATS account as the program builds it from its settings."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from rig import Announcements
from syncd.app import RealClock, build_mirror
from syncd.config.models import OpenATSAccount
from syncd.core.observations import Opened
from syncd.engine.account import PollResult
from syncd.engine.poll import poll_any
from syncd.simulator import Simulator
from syncd.store.migrate import open_writer
from syncd.store.writer import StoreWriter

pytestmark = pytest.mark.anyio

Polled = Callable[..., Any]


@pytest.fixture
async def store(anyio_backend: str, tmp_path: Path) -> AsyncIterator[StoreWriter]:
    """A new database."""
    del anyio_backend
    writer = StoreWriter(open_writer(tmp_path / "syncd.db"), RealClock(), Announcements([]))
    writer.start()
    yield writer
    await writer.close()


async def polled(store: StoreWriter, environ: dict[str, str], **settings: Any) -> PollResult:
    """How one poll of an account with these settings goes."""
    account = OpenATSAccount(name="ats", source="openats", **settings)
    mirror = build_mirror(account, store, environ)
    opened = Opened(account="ats", now=mirror.clock.now(), source="openats", base_url=account.base_url)
    mirror.is_same_place = await store.apply(opened)
    try:
        return await poll_any(mirror)
    finally:
        await mirror.source.close()


async def test_ids_choose_the_chats(store: StoreWriter, sim: Simulator) -> None:
    """`jobs` and `candidates` as lists of ids mirror just those chats."""
    outcome = await polled(store, {}, base_url=sim.openats_url, jobs=(2,), candidates=(1,))
    found = await store.read(lambda c: c.execute("SELECT id FROM conversations ORDER BY id").fetchall())
    assert (outcome.account_state.state, [id_ for (id_,) in found]) == ("ok", ["candidate:1", "job:2"])


async def test_a_header_that_can_not_be_had_is_a_state(store: StoreWriter, sim: Simulator) -> None:
    """An account whose header names a missing variable is auth_failed, says which, and asks nothing."""
    headers = {"X-Proxy-Key": "env:ATS_KEY"}
    outcome = await polled(store, {}, base_url=sim.openats_url, headers=headers)
    assert (outcome.account_state.state, len(sim.requests)) == ("auth_failed", 0)
    assert "ATS_KEY" in str(outcome.account_state.error)
    outcome = await polled(store, {"ATS_KEY": "sesame"}, base_url=sim.openats_url, headers=headers)
    assert outcome.account_state.state == "ok"


async def test_another_address_is_another_account(store: StoreWriter, sim: Simulator) -> None:
    """Rows that came from one address are not mixed with another's."""
    await polled(store, {}, base_url=sim.openats_url)
    outcome = await polled(store, {}, base_url=sim.url.replace("127.0.0.1", "localhost") + "/api")
    assert outcome.account_state.state == "wrong_account"

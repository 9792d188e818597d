"""Poll any account, by the story that its source needs."""

from syncd.engine.account import BaseMirror, Mirror
from syncd.engine.outcome import Outcome
from syncd.engine.poll import poll
from syncd.engine.snapshot import poll_snapshot
from syncd.engine.snapshot_round import SnapshotMirror


async def poll_any(mirror: BaseMirror, *, full: bool = False, manual: bool = False) -> Outcome:
    """One poll; never raises for the server's or the disk's troubles, but says them in its Outcome."""
    if isinstance(mirror, SnapshotMirror):
        return await poll_snapshot(mirror, full=full, manual=manual)
    if isinstance(mirror, Mirror):
        return await poll(mirror, full=full, manual=manual)
    raise TypeError(f"no story polls a {type(mirror).__name__}")

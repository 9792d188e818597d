"""What whoever holds the database does daily."""

from syncd.errors import SyncdError
from syncd.holder import Holder


async def keep_up(holder: Holder) -> None:
    """Finish what an erasure left, and erase what is too old; to be done daily, and at each start of who holds."""
    words = {"retention_days": holder.settings.store.retention_days}
    try:
        done = await holder.serve("upkeep", words, lambda _: None)
    except SyncdError as error:
        holder.log("upkeep.failed", level="error", error=str(error))
        return
    if done["rows"] or not done["clean"]:
        holder.log("upkeep", rows=sum(done["rows"].values()), clean=done["clean"])

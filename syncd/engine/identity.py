"""Whose token it is: nothing is applied that another user's eyes have seen."""

from collections.abc import Awaitable, Callable

from syncd.core.answers import Identity
from syncd.core.held import HeldAccount
from syncd.core.observations import Identified
from syncd.engine.account import BaseMirror, Mirror
from syncd.errors import ForbiddenError, NotFoundError, SyncdError

Ask = Callable[[Callable[[], Awaitable[Identity]]], Awaitable[Identity]]
"""Makes a request as soon as the account may ask."""


class WrongAccountError(SyncdError):
    """The token's user is another than the one whose rows are held."""

    exit_code = 77


def check_place(mirror: BaseMirror) -> None:
    """Raise WrongAccountError where the rows held came from another address."""
    if not mirror.is_same_place:
        raise WrongAccountError(
            f"account {mirror.account} was mirrored from another address; put that back, or take this one over with: "
            f"syncd accept {mirror.account}"
        )


async def identified(mirror: Mirror, ask: Ask) -> HeldAccount:
    """Make sure whose token it is, once a process and again after it was refused or changed."""
    check_place(mirror)
    if mirror.identity is None:
        try:
            identity = await ask(mirror.source.fetch_identity)
        except (NotFoundError, ForbiddenError):
            # a server that won't say: the rows themselves tell what is the viewer's
            identity = Identity(user_id=None, scopes=None, server_time=mirror.clock.now())
        known = await mirror.store.apply(Identified(account=mirror.account, now=mirror.clock.now(), identity=identity))
        if not known:
            raise WrongAccountError(
                f"the token of account {mirror.account} belongs to another user than the one mirrored; "
                f"give the right token, or take the other one over with: syncd accept {mirror.account}"
            )
        mirror.identity, mirror.identified_by = identity, mirror.source.tokens_taken
    return await mirror.store.fetch_account(mirror.account)

"""The kinds of servers that are mirrored: each is registered here once, and every layer asks here what it can do."""

from collections.abc import Mapping
from types import MappingProxyType

from msgspec import Struct

from syncd.errors import UsageError


class SourceKind(Struct, frozen=True, kw_only=True):
    """What a kind of server is and can do; its settings and its adapter are found by its name.

    `uses_official_token`: it wants a token, and an account that names none takes the official tools' one.
    `takes_messages`: messages can be sent to it. `publishes_specification`: it describes its own API.
    `has_viewer`: the token is a user's, so that a conversation has two sides: there are turns and somebody waits.
    Where it is False every message is internal. `names_subjects`: a conversation's id names the job or the candidate
    that it is about, such as `candidate:42`.
    """

    name: str
    title: str
    uses_official_token: bool = False
    takes_messages: bool = False
    publishes_specification: bool = False
    has_viewer: bool = False
    names_subjects: bool = False


OPENTRAIN = SourceKind(
    name="opentrain",
    title="OpenTrain",
    uses_official_token=True,
    takes_messages=True,
    publishes_specification=True,
    has_viewer=True,
)
OPENATS = SourceKind(name="openats", title="OpenATS", names_subjects=True)

SOURCES: Mapping[str, SourceKind] = MappingProxyType({kind.name: kind for kind in (OPENTRAIN, OPENATS)})
"""Every kind, by the name that the configuration and `accounts.source` have for it; the first is the usual one."""


def only_read(account: str, source: str) -> UsageError:
    """What is told to somebody who wants to write where the source takes no messages."""
    return UsageError(
        f"account {account} is an {SOURCES[source].title}, which syncd only reads; write in its own pages"
    )

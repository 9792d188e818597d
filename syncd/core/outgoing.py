"""Messages on their way out: the noun, which texts may go, and when two are the same."""

import re
import unicodedata

from msgspec import Struct

from syncd.core.model import Instant
from syncd.errors import UsageError

MOST_UNITS = 10_000
"""How long a message may be, as the server counts: in UTF-16 units."""

_NO_LETTERS = re.compile("[\x00-\x08\x0e-\x1f\x7f\ufeff]")


class Outgoing(Struct, frozen=True, kw_only=True):
    """A row of `outbox`.

    `state` is queued, sending, sent, unconfirmed, failed, expired or cancelled. `since`: the first attempt that may
    have arrived and was not settled. `missed_at`: when the message was first looked for and not found. `key`: what its
    sender calls it, so that asking twice is asking once.
    """

    id: int
    conversation_id: str
    state: str
    content: str | None = None
    created_at: Instant | None = None
    expires_at: Instant | None = None
    attempted_at: Instant | None = None
    message_id: str | None = None
    error: str | None = None
    since: Instant | None = None
    missed_at: Instant | None = None
    key: str | None = None


def normal(text: str | None) -> str:
    """What stays of a text when a server trims it, composes its letters, or writes its line ends in another way."""
    composed = unicodedata.normalize("NFC", text or "")
    return " ".join(_NO_LETTERS.sub(" ", composed).split())


def check_text(text: str) -> None:
    """Raise UsageError for a text that the server would refuse: its length counts in UTF-16 units."""
    try:
        units = len(text.encode("utf-16-le")) // 2
    except UnicodeEncodeError:
        raise UsageError("the text is no valid Unicode; write it in UTF-8") from None
    if not normal(text):
        raise UsageError("there is no text to send; give it as an argument or on standard input")
    if units > MOST_UNITS:
        raise UsageError(
            f"the text has {units:,} characters as the server counts them, and {MOST_UNITS:,} are the most; "
            "send it in parts"
        )

"""A made-up inbox: every page of it follows from its place, so that a million messages take no memory."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import accumulate
from typing import Any, Final, Literal

from msgspec import json

Direction = Literal["older", "newer"]
Json = dict[str, Any]

PAGE: Final = 100  # the most that the API gives at once
MOST_UNREAD: Final = 100
VIEWER: Final = "usr_owner"
_PROPOSAL_THREADS: Final = 6  # of ten conversations
_NEWEST: Final = datetime(2026, 3, 1, tzinfo=UTC).timestamp()
_SECONDS_BETWEEN: Final = 37.25  # one message of a conversation and its next
_SYLLABLES: Final = "an bel co da é for ge hi ing ja ko le mo ne ön pre qui ra ß ti un vi wa xe ya zu 三 да"
_WORDS: Final = 5_000
_TEXTS: Final = 509


def plan_lengths(conversations: int, messages: int, seed: int = 8) -> list[int]:
    """How many messages each conversation has: at least one, with a long tail, `messages` in all."""
    rng = random.Random(seed)  # noqa: S311 - the same inbox every time
    weights = [rng.lognormvariate(0, 1.1) for _ in range(conversations)]
    spare, total = messages - conversations, sum(weights)
    ends = [round(spare * part / total) for part in accumulate(weights)]
    return [1 + end - begin for begin, end in zip([0, *ends], ends, strict=False)]


def count_pages(lengths: Sequence[int]) -> int:
    """The least requests that fetch the list and every message once."""
    return -(-len(lengths) // PAGE) + sum(-(-length // PAGE) for length in lengths)


class Inbox:
    """Conversations of these lengths, the one with the newest activity first; the first hundred are unread."""

    def __init__(self, lengths: Sequence[int]) -> None:
        self._lengths = lengths
        self._starts = [0, *accumulate(lengths)]
        self._texts = _write_texts()
        self._numbers = {self.conversation_id(number): number for number in range(len(lengths))}

    def conversation_id(self, number: int) -> str:
        """An id without order, as the API's are."""
        return _scramble("cnv", number)

    def render_list(self, start: int, limit: int, *, unread_only: bool = False) -> bytes:
        """A page of the conversation list from its `start`-th entry on."""
        count = min(MOST_UNREAD, len(self._lengths)) if unread_only else len(self._lengths)
        end = min(count, start + limit)
        entries = [self._entry(number) for number in range(start, end)]
        return json.encode({"conversations": entries, "nextCursor": str(end) if end < count else None})

    def render_page(self, conversation_id: str, direction: Direction, cursor: int | None, limit: int) -> bytes | None:
        """A page of messages, oldest first; the cursor is the place where it begins or, going back, ends."""
        number = self._numbers.get(conversation_id)
        if number is None:
            return None
        length = self._lengths[number]
        if direction == "newer":
            start = cursor or 0
            end = min(length, start + limit)
            following = end if end < length else None
        else:
            end = length if cursor is None else cursor
            start = max(0, end - limit)
            following = start or None
        messages = [self._message(number, place) for place in range(start, end)]
        return json.encode({"messages": messages, "nextCursor": None if following is None else str(following)})

    def _entry(self, number: int) -> Json:
        proposed = number % 10 < _PROPOSAL_THREADS
        last = self._message(number, self._lengths[number] - 1)
        unread = int(number < MOST_UNREAD)
        return {
            "id": self.conversation_id(number),
            "type": "DIRECT_MESSAGE",
            "bucket": "proposal" if proposed else "job",
            "jobId": None if proposed else "job_1",
            "proposalId": _scramble("prp", number) if proposed else None,
            "channelName": None,
            "updatedAt": last["createdAt"],
            "lastMessage": {
                name: last[name] for name in ("id", "content", "senderUserId", "isFromViewer", "createdAt")
            },
            "unreadCount": unread,
            "needsReplyCount": unread,
        }

    def _message(self, number: int, place: int) -> Json:
        """Their turn and ours; the last one is theirs where the conversation is unread, else ours."""
        key, from_end, unread = self._starts[number] + place, self._lengths[number] - 1 - place, number < MOST_UNREAD
        ours = (from_end + (not unread)) % 2 == 1
        at = _render_time(_NEWEST - number * 61 - from_end * _SECONDS_BETWEEN)
        return {
            "id": _scramble("msg", key),
            "createdAt": at,
            "updatedAt": at,
            "conversationId": self.conversation_id(number),
            "jobId": None,
            "senderUserId": VIEWER if ours else f"usr_{number}",
            "isFromViewer": ours,
            "content": self._texts[key % _TEXTS],
            "messageType": "TEXT",
            "system": False,
            "hasUnreadFlag": unread and from_end == 0,
            "attachmentCount": 0,
            "hasAudio": False,
            "editedAt": None,
            "reactionCount": 0,
        }


def _write_texts() -> list[str]:
    """Contents as people write them: 18 words on average, few of them most of the time, some in other scripts."""
    rng = random.Random(1)  # noqa: S311 - the same texts every time
    syllables = _SYLLABLES.split()
    words = ["".join(rng.choices(syllables, k=rng.randint(1, 4))) for _ in range(_WORDS)]
    shares = list(accumulate(1 / rank for rank in range(1, _WORDS + 1)))
    lengths = [1 + int(rng.expovariate(1 / 18)) for _ in range(_TEXTS)]
    return [" ".join(rng.choices(words, cum_weights=shares, k=length)) for length in lengths]


def _scramble(kind: str, number: int) -> str:
    """An id as long as a UUID, whose order says nothing."""
    return f"{kind}_{(number + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << 128):032x}"


def _render_time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")[:-6] + "Z"

"""What an OpenATS server keeps: messages, and the jobs and candidates they are about."""

from dataclasses import dataclass, field

from syncd.simulator.records import Json


@dataclass(slots=True)
class ChatMessage:
    """One message; `sent` is milliseconds since 1970."""

    id: int
    text: str | None
    sender: int | None
    sent: int
    system: bool
    deleted: bool = False


@dataclass(slots=True)
class Subject:
    """A job or a candidate with its chat; `fields` as the API prints them. `version` moves with all that shows."""

    fields: Json
    messages: dict[int, ChatMessage] = field(default_factory=dict)
    version: int = 0

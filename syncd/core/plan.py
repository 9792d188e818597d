"""A plan: all that one observation changes, as one value; the store applies it in one transaction or not at all."""

from typing import Any

from msgspec import Struct, json
from msgspec.structs import replace

from syncd.core.model import Chat, Event, Instant, Outgoing, Row
from syncd.core.times import LONGEST_RATE_LIMIT_SECONDS
from syncd.core.walk import ConversationCheckpoint, Reason


class Revision(Struct, frozen=True, kw_only=True):
    """The text that an edit replaced; the store numbers revisions from 1."""

    message_id: str
    content: str | None
    edited_at: Instant | None


class PendingTask(Struct, frozen=True, kw_only=True):
    """Something to be fetched or looked at when it is due; it outlives a crash.

    `kind` is conversation, proposal, interview or overdue. `version` is 0 before the debt is stored, and grows with
    each renewal.
    """

    kind: str
    subject_id: str
    due_at: Instant
    reason: Reason | None = None
    version: int = 0


def renewed(held: PendingTask | None, new: PendingTask) -> PendingTask:
    """The debt after `new` was owed too: one that was made from the held row replaces it, any other joins it."""
    if held is None:
        return replace(new, version=1)
    version = held.version + 1
    if new.version == held.version:
        return replace(new, version=version)
    old_errand, reason = held.reason or Reason(), new.reason or Reason()
    joined = Reason(
        entry=reason.entry or old_errand.entry,
        verify=reason.verify or old_errand.verify,
        want=reason.want or old_errand.want,
        first_pass=reason.first_pass or old_errand.first_pass,
        since=reason.since or old_errand.since,
    )
    return replace(new, due_at=min(held.due_at, new.due_at), reason=joined, version=version)


class Failure(Struct, frozen=True, kw_only=True):
    """Why a subject can't be mirrored for now; `tries` counts from 1."""

    kind: str
    subject_id: str
    reason: str
    request_id: str | None
    tries: int
    first_failed_at: Instant
    next_try_at: Instant


class SuspectUnseen(Struct, frozen=True, kw_only=True):
    """Suspect each message that is held and was met neither by this page nor by its walk.

    Rows changed after transaction `since` are spared.
    """

    conversation_id: str
    since: int
    met: frozenset[str]


class Account(Struct, frozen=True, kw_only=True):
    """An account as people see it: a row of `accounts`, less its key."""

    source: str
    base_url: str
    viewer_user_id: str | None = None
    state: str = "starting"
    state_since: Instant | None = None
    first_started_at: Instant | None = None
    complete_since: Instant | None = None
    last_success_at: Instant | None = None
    last_reconciled_at: Instant | None = None
    retry_at: Instant | None = None
    last_error: str | None = None
    removed_at: Instant | None = None


class PollCost(Struct, frozen=True, kw_only=True):
    """What the last poll cost."""

    requests: int = 0
    bytes: int = 0
    rows: int = 0
    cpu_ms: int = 0
    seconds: float = 0.0


class AccountCheckpoint(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is remembered of an account beside its row.

    `list_mark`: the newest `updated_at` at the head of the last list walk that was finished. `surveyed_at`: the
    server's time at that walk. `limited_until`: the server said to ask nothing before, `limited_seconds` long.
    `feed_cursor`: the place in the server's own feed. `trouble`: an episode of trouble is open. `troubles`: polls
    in a row that ended in trouble. `reconciling_since`: a reconcile is under way; `reconcile_listed`: all that it
    compares is owed. `second_look_at`: when a large loss, told of in `loss_guard`, is looked at again.
    """

    list_mark: Instant | None = None
    surveyed_at: Instant | None = None
    limited_until: Instant | None = None
    limited_seconds: float = LONGEST_RATE_LIMIT_SECONDS
    feed_cursor: str | None = None
    trouble: bool = False
    troubles: int = 0
    reconciling_since: Instant | None = None
    reconcile_listed: bool = False
    second_look_at: Instant | None = None
    loss_guard: str | None = None
    scopes: tuple[str, ...] | None = None
    trusted_scopes: tuple[str, ...] | None = None
    missing_scopes: tuple[str, ...] = ()
    poll: PollCost | None = None


class SyncRun(Struct, frozen=True, kw_only=True):
    """A first pass, a reconcile or a manual sync; `id` is None before the store has numbered it."""

    kind: str
    started_at: Instant
    id: int | None = None
    finished_at: Instant | None = None
    requests: int | None = None
    rows_written: int | None = None
    error: str | None = None


class Plan(Struct, frozen=True, kw_only=True):
    """All that is to change, and the planner's answer to whoever asked.

    `forget_cursors`: those of every conversation are another viewer's. `met`: messages of the conversation in
    `checkpoints` that a comparison has met so far; `forget_met`: the conversation whose comparison begins anew.
    `completed`: kind, subject and version of tasks. `recovered`: kind and subject of failures that are over.
    `suspects`: kind, subject, conversation. `set_aside`: listing, kind and subject of entries that can't be read.
    """

    rows: tuple[Row, ...] = ()
    revisions: tuple[Revision, ...] = ()
    events: tuple[Event, ...] = ()
    checkpoints: tuple[tuple[str, ConversationCheckpoint], ...] = ()
    chats: tuple[tuple[str, Chat], ...] = ()
    tasks: tuple[PendingTask, ...] = ()
    completed: tuple[tuple[str, str, int], ...] = ()
    failures: tuple[Failure, ...] = ()
    recovered: tuple[tuple[str, str], ...] = ()
    set_aside: tuple[tuple[str, str, str], ...] = ()
    forget_cursors: bool = False
    met: tuple[str, ...] = ()
    forget_met: str | None = None
    suspect: SuspectUnseen | None = None
    suspects: tuple[tuple[str, str, str], ...] = ()
    unsuspect: tuple[tuple[str, str], ...] = ()
    account: Account | None = None
    account_checkpoint: AccountCheckpoint | None = None
    run: SyncRun | None = None
    outgoing: tuple[Outgoing, ...] = ()
    answer: Any = None


def merged_extra(held: str | None, new: str | None) -> str | None:
    """The fields of both, the new ones winning; for answers that are known to leave fields out."""
    if held is None or new is None:
        return new or held
    fields = json.decode(held, type=dict[str, Any]) | json.decode(new, type=dict[str, Any])
    return json.encode(fields, order="sorted").decode()

"""What an outgoing message does next: tables of cases for the pure part."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from syncd.core.model import Conversation, Message, Outgoing, check_text, normal
from syncd.core.observations import HeldConversation
from syncd.core.outbox import (
    Answered,
    Attempted,
    HeldOutbox,
    Looked,
    MatchCandidate,
    Ordered,
    Queued,
    Unanswered,
    advise,
    look_delay,
    match,
    next_state,
    plan_answered,
    plan_attempted,
    plan_looked,
    plan_ordered,
    plan_queued,
    plan_unanswered,
)
from syncd.core.plan import Account
from syncd.core.times import after
from syncd.core.walk import ConversationCheckpoint
from syncd.errors import (
    AuthError,
    FetchError,
    ForbiddenError,
    NotFoundError,
    ProtocolError,
    RateLimitedError,
    RejectedError,
    UnreachableError,
    UsageError,
)

NOW = "2026-06-12T09:00:00.000Z"
THREAD = HeldConversation(
    account=Account(source="opentrain", base_url=""), change_id=1, checkpoint=ConversationCheckpoint(history_before=NOW)
)
SENDING = Outgoing(
    id=1, conversation_id="c", state="sending", content="Hi", expires_at=after(NOW, 60), attempted_at=NOW, since=NOW
)


def held(outgoing: Outgoing | None = SENDING, *candidates: MatchCandidate) -> HeldOutbox:
    """An outbox with that one row."""
    return HeldOutbox(
        checkpoint=THREAD,
        next_id=2,
        outgoing=outgoing,
        open=() if outgoing is None else (outgoing,),
        candidates=candidates,
    )


def message(id_: str = "m1", content: str | None = "Hi", at: str | None = NOW, **fields: object) -> Message:
    """A message of the viewer's."""
    given = {"is_from_viewer": True, "is_system": False} | fields
    return Message(id=id_, conversation_id="c", content=content, created_at=at, **given)  # type: ignore[arg-type]


def looked(*messages: Message, at: str = NOW, gone: bool = False) -> Looked:
    """A look by a server whose clock is ours."""
    return Looked(
        account="a", now=at, conversation_id="c", ids=frozenset({1}), messages=messages, server_time=at, gone=gone
    )


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (UnreachableError("", reason="connect"), "queued"),
        (UnreachableError("", reason="lost"), "sending"),
        (UnreachableError("", reason="http_503", status=503), "sending"),
        (UnreachableError("", reason="http_408", status=408), "sending"),
        (ProtocolError("", reason="shape", status=201), "sending"),
        (ProtocolError("", reason="not_json", status=200), "sending"),
        (FetchError("", reason="connect"), "sending"),
        (RateLimitedError("", retry_after=1), "queued"),
        (AuthError("", reason="UNAUTHORIZED", status=401), "queued"),
        (ForbiddenError("", reason="connect", status=403), "failed"),
        (NotFoundError("", reason="NOT_FOUND", status=404), "failed"),
        (RejectedError("", reason="message_blocked", status=409), "failed"),
    ],
)
def test_fate_of_an_attempt(error: FetchError, state: str) -> None:
    """Only what surely never left may leave again, and only the server's own no ends it; all else is looked for."""
    assert next_state(error) == state


@pytest.mark.parametrize(
    "arrived",
    [
        "Grüße,\nAna",
        "  Grüße,\nAna\n",
        "Grüße,\r\nAna",
        unicodedata.normalize("NFD", "Grüße,\nAna"),
        "\ufeffGrüße, Ana",
    ],
)
def test_normalised_texts_are_the_same(arrived: str) -> None:
    """Trimming, line ends and composition don't make a text another."""
    assert normal(arrived) == normal("Grüße,\nAna")


@pytest.mark.parametrize("other", ["grüße,\nAna", "Grüße,\nAn", "Grüße,\nAna!", "", None])
def test_other_texts_are_others(other: str | None) -> None:
    """Any other letter does."""
    assert normal(other) != normal("Grüße,\nAna")


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_normal_is_stable(text: str) -> None:
    """What was normalised once, and what a server trimmed, stays the same."""
    assert normal(normal(text)) == normal(text) == normal(f" {text}\r\n") == normal(text.strip())


@pytest.mark.parametrize(("text", "fits"), [("x" * 10_000, True), ("x" * 10_001, False), ("🙂" * 5_000, True)])
def test_longest_text(text: str, fits: bool) -> None:  # noqa: FBT001 - a table's column
    """10,000 UTF-16 units are the most."""
    if fits:
        check_text(text)
    else:
        with pytest.raises(UsageError, match="10,001 characters"):
            check_text(text)


@pytest.mark.parametrize("text", ["", " \n\t", "\ufeff", "\x00", "🙂" * 5_000 + "x", "half \ud83d"])
def test_impossible_texts(text: str) -> None:
    """Nothing, half a letter, or an emoji too many is refused before it is queued."""
    with pytest.raises(UsageError):
        check_text(text)


def test_queued_once() -> None:
    """The same wish asked for twice is the same row."""
    queued = Queued(account="a", now=NOW, conversation_id="c", content="Hi", key="k")
    first = plan_queued(held(None), queued)
    assert first.outgoing == (first.answer,)
    assert (first.answer.id, first.answer.state, first.answer.expires_at) == (2, "queued", after(NOW, 3600))
    assert plan_queued(held(first.answer), queued).outgoing == ()


@pytest.mark.parametrize(
    ("state", "seconds", "becomes"),
    [("queued", 59.9, "sending"), ("queued", 60, "expired"), ("cancelled", 1, "cancelled"), ("sending", 1, "sending")],
)
def test_attempted(state: str, seconds: float, becomes: str) -> None:
    """Only a queued message in its hour is sent; a late one says how to send it after all."""
    row = replace(SENDING, state=state, since=None, attempted_at=None)
    answer = plan_attempted(held(row), Attempted(account="a", now=after(NOW, seconds), id=1)).answer
    assert answer.state == becomes
    assert (answer.since is not None) == (state == "queued" and becomes == "sending")
    assert "syncd outbox retry 1" in (answer.error or "") or becomes != "expired"


def test_answered_is_stored_above_the_proved_run() -> None:
    """A sent message is a row with one event; the thread learns its time, and nothing about what lies below it."""
    plan = plan_answered(held(), Answered(account="a", now=NOW, id=1, message=message()))
    assert plan.rows == (message(),)
    assert [(event.kind, event.message_id) for event in plan.events] == [("message.new", "m1")]
    assert plan.checkpoints[0][1] == ConversationCheckpoint(history_before=NOW, latest=NOW, oldest=NOW)
    assert (plan.answer.state, plan.answer.message_id, plan.answer.content, plan.answer.since) == (
        "sent",
        "m1",
        None,
        None,
    )


def test_answered_after_a_poll_met_it() -> None:
    """A message that is held already is not stored again, and has no second event."""
    known = HeldOutbox(checkpoint=replace(THREAD, messages={"m1": message()}), next_id=2, outgoing=SENDING)
    plan = plan_answered(known, Answered(account="a", now=NOW, id=1, message=message()))
    assert (plan.rows, plan.events, plan.checkpoints) == ((), (), ())
    assert plan.answer.state == "sent"


@pytest.mark.parametrize(
    ("state", "since", "keeps"),
    [
        ("queued", NOW, None),
        ("failed", NOW, None),
        ("sending", NOW, NOW),
        ("queued", "2026-06-12T08:00:00.000Z", "first"),
    ],
)
def test_unanswered(state: str, since: str, keeps: str | None) -> None:
    """An attempt that surely did not arrive is forgotten, an earlier one that may have is not."""
    row = replace(SENDING, since=since)
    answer = plan_unanswered(held(row), Unanswered(account="a", now=NOW, id=1, state=state, error="why")).answer
    assert (answer.state, answer.error, answer.content) == (state, "why", "Hi")
    assert answer.since == (since if keeps else None)


@pytest.mark.parametrize(
    ("candidate", "found"),
    [
        (message(), True),
        (message(at=after(NOW, -4)), True),
        (message(at=after(NOW, -6)), False),
        (message(at=after(NOW, 86400)), True),
        (message(content=" Hi\r\n"), True),
        (message(content="Hi!"), False),
        (message(content=None), False),
        (message(at=None), False),
        (message(is_from_viewer=False), False),
        (message(is_from_viewer=None), False),
        (message(is_system=True), False),
    ],
)
def test_match(candidate: Message, found: bool) -> None:  # noqa: FBT001 - a table's column
    """Ours is what the viewer wrote, with this text, not before the attempt (give or take five seconds)."""
    assert bool(match([SENDING], [MatchCandidate(message=candidate)], 0.0)) is found


@pytest.mark.parametrize(("skew", "found"), [(-3600, True), (0, False), (3600, False)])
def test_match_by_the_servers_clock(skew: float, found: bool) -> None:  # noqa: FBT001 - a table's column
    """Where the server's clock is an hour behind ours, what it created an hour ago was created just now."""
    candidate = MatchCandidate(message=message(at=after(NOW, -3600)))
    assert bool(match([SENDING], [candidate], skew)) is found


def test_match_nothing_held_before() -> None:
    """What was held when the attempt began is not the attempt's."""
    before, since = (MatchCandidate(message=message(), first_seen_at=after(NOW, s)) for s in (-0.001, 0))
    assert not match([SENDING], [before], 0.0)
    assert match([SENDING], [since], 0.0)


@given(st.lists(st.integers(0, 5), max_size=6), st.lists(st.integers(0, 5), max_size=6))
def test_match_leaves_nobody_out(attempts: list[int], arrivals: list[int]) -> None:
    """Of equal texts as many rows find a message as any assignment could, and never two the same."""
    rows = [replace(SENDING, id=n, since=after(NOW, 60 * at)) for n, at in enumerate(attempts)]
    candidates = [MatchCandidate(message=message(f"m{n}", at=after(NOW, 60 * at))) for n, at in enumerate(arrivals)]
    found = match(rows, candidates, 0.0)
    assert len({one.id for one in found.values()}) == len(found)
    assert len(found) == _most_pairs(attempts, arrivals)


def _most_pairs(attempts: list[int], arrivals: list[int]) -> int:
    """By brute force over the borders: as many attempts as find an arrival of their own."""
    left, pairs = sorted(arrivals), 0
    for attempt in sorted(attempts, reverse=True):
        later = [arrival for arrival in left if arrival >= attempt]
        if later:
            left.remove(later[-1])
            pairs += 1
    return pairs


def test_two_looks_a_minute_apart() -> None:
    """The first look in vain is noted, one within a minute changes nothing, one after it makes it unconfirmed."""
    (first,) = plan_looked(held(), looked(message(content="else"), at=NOW)).outgoing
    assert (first.state, first.missed_at) == ("sending", NOW)
    assert plan_looked(held(first), looked(message(content="else"), at=after(NOW, 59.9))).outgoing == ()
    (last,) = plan_looked(held(first), looked(message(content="else"), at=after(NOW, 60))).outgoing
    assert (last.state, last.content, last.since) == ("unconfirmed", "Hi", NOW)
    assert "syncd outbox retry 1" in (last.error or "")


def test_empty_answer_is_no_look() -> None:
    """An empty page of a conversation that is not empty proves nothing; one that is gone is a look."""
    thread = replace(THREAD, conversation=_conversation(last="m0"))
    known = HeldOutbox(checkpoint=thread, next_id=2, open=(SENDING,))
    assert plan_looked(known, looked()).outgoing == ()
    assert len(plan_looked(known, looked(gone=True)).outgoing) == 1
    empty = replace(known, checkpoint=replace(THREAD, conversation=_conversation(last=None)))
    assert len(plan_looked(empty, looked()).outgoing) == 1


def _conversation(last: str | None) -> Conversation:
    return Conversation(id="c", last_message_id=last)


@pytest.mark.parametrize("state", ["sending", "sent", "failed", "unconfirmed", "expired", "cancelled"])
def test_cancel_only_what_waits(state: str) -> None:
    """What is under way or over can't be cancelled."""
    with pytest.raises(UsageError, match="only a queued one"):
        plan_ordered(held(replace(SENDING, state=state)), Ordered(account="a", now=NOW, id=1, again=False))


@pytest.mark.parametrize("state", ["failed", "unconfirmed", "expired", "cancelled"])
def test_retry(state: str) -> None:
    """What was given up may be sent again, with an hour of its own."""
    again = Ordered(account="a", now=after(NOW, 9), id=1, again=True)
    answer = plan_ordered(held(replace(SENDING, state=state)), again).answer
    assert (answer.state, answer.expires_at, answer.since) == ("queued", after(NOW, 3609), NOW)


@pytest.mark.parametrize("state", ["queued", "sending", "sent"])
def test_retry_nothing_that_may_arrive(state: str) -> None:
    """What waits, is under way or was sent is not sent again."""
    with pytest.raises(UsageError, match="nothing to send again"):
        plan_ordered(held(replace(SENDING, state=state)), Ordered(account="a", now=NOW, id=1, again=True))


def test_looks_grow_rarer() -> None:
    """The first look is at once, the later ones ever further apart, two of them within a minute and a half."""
    delays = [look_delay(n) for n in range(9)]
    assert delays[0] == 0
    assert delays == sorted(delays)
    assert sum(delays[1:7]) >= 60
    assert sum(delays[:7]) < 120


@pytest.mark.parametrize(
    ("reason", "said", "told"),
    [
        ("account_claim_required", "https://app.example/claim", "claim the account first (https://app.example/claim)"),
        ("message_policy_blocked", "contact_details", "policy forbids this text"),
        ("employer_first_message_required", "", "the employer has to write first"),
        ("read_only_conversation", "", "takes no messages any more"),
        ("message_blocked", "", "takes no messages to this person"),
        ("something_new", "said so", "may not write here (said so)"),
    ],
)
def test_advice(reason: str, said: str, told: str) -> None:
    """Each refusal says what to do, and what the server said."""
    assert told in advise(ForbiddenError("", reason=reason, said=said, status=403), may_write=True)


def test_advice_on_a_missing_scope() -> None:
    """Without the scope, the scope is the advice."""
    error = ForbiddenError("", reason="FORBIDDEN", said="no", status=403, request_id="req_1")
    assert advise(error, may_write=False).startswith("the token lacks the scope messages:write")
    assert "req_1" in advise(error, may_write=False)

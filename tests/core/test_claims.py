"""Which conversation a message belongs to that two of them show: tables of cases."""

from itertools import product

import pytest

from syncd.core.conversation import end_claims, plan_claim_due, weigh_claims
from syncd.core.model import Message
from syncd.core.observations import Claim, ClaimDue, HeldClaim, HeldMessages
from syncd.core.plan import Failure, PendingTask
from syncd.core.times import after

NOW = "2026-06-12T09:15:00.000Z"


def message(conversation_id: str, *, gone: bool = False) -> Message:
    """The message, as one conversation shows it."""
    return Message(id="m", conversation_id=conversation_id, gone_at=NOW if gone else None)


def claim(owner: str, claimant: str, *, is_met: bool = False, fails: bool = False) -> Claim:
    """The message held in one conversation, and claimed by another."""
    return Claim(message=message(owner), claimant=claimant, is_met=is_met, fails=fails)


@pytest.mark.parametrize(
    ("row", "gone", "is_foreign"),
    [
        (None, frozenset(), False),
        (message("here"), frozenset(), False),
        (message("there"), frozenset(), True),
        (message("there", gone=True), frozenset(), False),
        (message("there"), frozenset({"there"}), False),
    ],
)
def test_what_is_there_is_not_ours(row: Message | None, gone: frozenset[str], *, is_foreign: bool) -> None:
    """A message that another conversation visibly holds is claimed once, and that conversation compared."""
    held = HeldMessages(messages={} if row is None else {"m": row}, gone=gone)
    weighed = weigh_claims(held, "here", [message("here")], NOW)
    assert weighed.foreign == (frozenset({"m"}) if is_foreign else frozenset())
    assert weighed.made == ((("claim", "m", "here"),) if is_foreign else ())
    assert [task.subject_id for task in weighed.tasks] == (["there"] if is_foreign else [])
    again = HeldMessages(messages=held.messages, gone=gone, claims={"m": claim("there", "here")})
    assert weigh_claims(again, "here", [message("here")], NOW).made == ()


@pytest.mark.parametrize(("owner", "claimant", "fails"), list(product(("here", "there"), ("here", "there"), (0, 1))))
def test_a_quarrel_is_told_once(owner: str, claimant: str, fails: int) -> None:
    """The owner that shows what another claims makes a failure of it, which names both; one that is known stays."""
    held = HeldMessages(messages={"m": message(owner)}, claims={"m": claim(owner, claimant, fails=bool(fails))})
    quarrels = weigh_claims(held, "here", [message("here")], NOW).quarrels
    assert [q.reason for q in quarrels] == (
        ["in_two_conversations: here, there"] if (owner, claimant, fails) == ("here", "there", 0) else []
    )


@pytest.mark.parametrize(
    ("owner", "claimant", "is_met", "met", "moved", "over"),
    [
        ("here", "there", False, False, True, True),
        ("here", "there", True, False, False, False),
        ("here", "there", False, True, False, False),
        ("there", "here", False, False, False, True),
        ("there", "here", True, False, False, False),
        ("here", "here", True, True, False, True),
    ],
)
def test_a_comparison_ends_claims(
    owner: str, claimant: str, *, is_met: bool, met: bool, moved: bool, over: bool
) -> None:
    """What its owner lost is the claimant's; a claim on what is shown no longer, or has moved, is over."""
    held = HeldMessages(claims={"m": claim(owner, claimant, is_met=is_met, fails=True)})
    ended = end_claims(held, "here", {"m"} if met else set())
    assert [row.conversation_id for row in ended.moved] == (["there"] if moved else [])
    assert ended.unsuspect == ((("claim", "m"), ("message", "m")) if over else ())
    assert ended.recovered == ((("message", "m"),) if over else ())


def test_a_quarrel_is_looked_at_again() -> None:
    """Both are compared once more, ever more seldom; when the claim is over, so are the task and the failure."""
    failure = Failure(
        kind="message", subject_id="m", reason="", request_id=None, tries=1, first_failed_at=NOW, next_try_at=NOW
    )
    pending, due = (
        PendingTask(kind="message", subject_id="m", due_at=NOW, version=2),
        ClaimDue(account="acme", now=NOW, message_id="m"),
    )
    held = HeldClaim(pending=pending, failure=failure, claim=claim("there", "here"))
    plan = plan_claim_due(held, due)
    assert [(row.tries, row.next_try_at) for row in plan.failures] == [(2, after(NOW, 120))]
    assert [(task.kind, task.subject_id) for task in plan.tasks] == [
        ("conversation", "here"),
        ("conversation", "there"),
        ("message", "m"),
    ]
    over = plan_claim_due(HeldClaim(pending=pending, failure=failure), due)
    assert (over.completed, over.recovered) == ((("message", "m", 2),), (("message", "m"),))

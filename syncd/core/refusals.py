"""What a person can do about a refused message or conversation; the server's own words go with it."""

from syncd.errors import FetchError

_ADVICE = {
    "account_claim_required": "claim the account first",
    "message_policy_blocked": "the server's policy forbids this text; write it in another way",
    "employer_first_message_required": "the employer has to write first in this conversation",
    "read_only_conversation": "this conversation takes no messages any more",
    "message_blocked": "the server takes no messages to this person",
    "proposal_not_ready_for_messaging": "this proposal can't be written to yet",
    "feature_disabled": "messages through the API are switched off for this account; ask OpenTrain to switch them on",
}
_ADVICE_BY_STATUS = {
    400: "the server takes no such message; change it",
    403: "the token may not write here",
    404: "the server knows no such conversation or proposal",
}
_MISSING_SCOPE = "the token lacks the scope messages:write; give the account one that has it"


def advise(error: FetchError, *, may_write: bool) -> str:
    """The refusal in one line: what to do, then the server's reason. `may_write`: the token has the scope."""
    known = _ADVICE.get(error.reason) or _ADVICE_BY_STATUS.get(error.status or 0) or "the server refuses it"
    advice = _MISSING_SCOPE if error.status == 403 and not may_write else known  # noqa: PLR2004 - HTTP's own number
    request = f", request {error.request_id}" if error.request_id else ""
    return f"{advice} ({error.said or error.reason}{request})"

"""The documents' queries for dashboards run unchanged on the mirror and on what is published of it."""

import pytest

from documents import read_query
from publish.pair import Pair
from store.conftest import Insert


@pytest.fixture
def told(pair: Pair, insert: Insert, say: Insert) -> Pair:
    """Two jobs and some days of asking and answering, of which somebody still waits."""
    for job, title in (("j1", "labeller"), ("j2", "Annotator"), ("j3", "Écrivain")):
        insert("jobs", id=job, title=title)
        for number in range(4):
            talk, ago = f"{job}-{number}", 90_000.0 * (number + 1)
            insert("proposals", id=talk, job_id=job, candidate_id=talk)
            insert("candidates", id=talk, name=f"{'éÉaZ'[number]} of {job}")
            insert("conversations", id=talk, proposal_id=talk, needs_reply_count=number % 2)
            say("in", f"{talk}-asked", ago, conversation_id=talk)
            say("out", f"{talk}-answered", ago - 97.25 * (number + len(title)), conversation_id=talk)
            if number % 2:
                say("in", f"{talk}-waits", ago - 10_000, conversation_id=talk)
    pair.copy()
    return pair


@pytest.mark.parametrize("heading", ["Who waits longest?", "What does a day look like?"])
def test_the_dashboards(told: Pair, heading: str) -> None:
    """A query of the documents gives the same rows in the same order on both."""
    assert len(told.ask(read_query(heading))) >= 4


def test_answers_by_job(told: Pair) -> None:
    """Medians and percentiles by job are the same on both, to the last digit."""
    rows = told.ask(read_query("The same by job"))
    assert [row["answers"] for row in rows] == [4, 4, 4]
    assert rows[0]["median_minutes"] > rows[-1]["median_minutes"]

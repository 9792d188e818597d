"""The README's dashboard queries run unchanged on the mirror and on what is published of it."""

from pathlib import Path

import pytest

from publish.pair import Pair
from store.conftest import Insert

README = Path(__file__).parents[2] / "README.md"

# Median and 90th percentile of the time to an answer, by job: what both engines have, and no more.
BY_JOB = """
WITH answered AS (
  SELECT account, job_id, seconds / 60.0 AS minutes,
         row_number() OVER (PARTITION BY account, job_id ORDER BY seconds) AS place,
         count(*) OVER (PARTITION BY account, job_id) AS answers
  FROM response_times WHERE seconds IS NOT NULL
)
SELECT a.account, j.title, max(a.answers) AS answers,
       min(CASE WHEN a.place >= 0.5 * a.answers THEN a.minutes END) AS median_minutes,
       min(CASE WHEN a.place >= 0.9 * a.answers THEN a.minutes END) AS p90_minutes
FROM answered AS a LEFT JOIN jobs AS j ON j.account = a.account AND j.id = a.job_id
GROUP BY a.account, a.job_id, j.title ORDER BY median_minutes DESC, a.account, a.job_id
"""


def read_query(heading: str) -> str:
    """The query that the README has under this comment."""
    _, found, rest = README.read_text(encoding="utf-8").partition(f"-- {heading}")
    assert found, f"the README has no query headed {heading}"
    return rest.partition("\n")[2].partition(";")[0]


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
def test_the_readmes_dashboards(told: Pair, heading: str) -> None:
    """A query of the README gives the same rows in the same order on both."""
    assert len(told.ask(read_query(heading))) >= 4


def test_answers_by_job(told: Pair) -> None:
    """Medians and percentiles by job are the same on both, to the last digit."""
    rows = told.ask(BY_JOB)
    assert [row["answers"] for row in rows] == [4, 4, 4]
    assert rows[0]["median_minutes"] > rows[-1]["median_minutes"]

import os
import pty
import subprocess
import sys
from typing import Any

import pytest

from documents import DOCS
from syncd.cli.explaining import TOPICS


def test_without_a_topic_they_are_listed(run: Any) -> None:
    """`syncd docs` names each topic and what it is about, also as JSON."""
    ended = run("docs")
    assert ended.code == 0
    assert all(topic in ended.out for topic in TOPICS)
    assert [row["topic"] for row in run("docs", "--json").data] == list(TOPICS)


@pytest.mark.parametrize("topic", sorted(set(TOPICS) - {"columns"}))
def test_a_pipe_gets_the_document_as_it_is(run: Any, topic: str) -> None:
    """Elsewhere than on a terminal a topic is its Markdown, word for word."""
    text = (DOCS / f"{topic}.md").read_text(encoding="utf-8")
    assert run("docs", topic).out == text
    assert run("docs", topic, "--json").data == {"topic": topic, "markdown": text}


def test_the_columns_come_from_the_catalogue(run: Any) -> None:
    """`syncd docs columns` has each public column with its unit, what NULL means, and its description."""
    out = run("docs", "columns").out
    assert "\n## messages\n" in out
    assert "\n| **id** | TEXT | The message's id; of OpenATS job:ID or candidate:ID. |\n" in out
    assert "\n| edited_at | TEXT, UTC time | When its text was last edited. NULL: it was not edited. |\n" in out
    assert "## _" not in out


def test_an_unknown_topic_is_wrong_usage(run: Any) -> None:
    """It ends with 2 and one line that names the topics."""
    ended = run("docs", "nope")
    assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    assert all(topic in ended.err for topic in TOPICS)


def test_a_terminal_gets_text_for_people() -> None:
    """On a terminal the Markdown is rendered, through the pager, and a link to a topic is the command that shows it."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "syncd.cli.main", "docs", "search"]
    environ = os.environ | {"PAGER": "sh -c 'cat'", "TERM": "xterm", "COLUMNS": "300"}
    with subprocess.Popen(command, stdout=theirs, stdin=theirs, env=environ) as process:  # noqa: S603 - our own words
        os.close(theirs)
        with os.fdopen(ours, "rb") as terminal:
            shown = b"".join(iter(lambda: read(terminal.fileno()), b"")).decode()
    assert process.returncode == 0
    assert "\x1b[" in shown
    assert "```" not in shown
    assert "performance (" in shown
    assert "syncd docs performance" in shown
    assert max(map(len, shown.splitlines())) < 200  # the width of a page, not of the terminal, and some colours


def read(terminal: int) -> bytes:
    """What comes next; nothing at the end, which Linux calls an error."""
    try:
        return os.read(terminal, 65536)
    except OSError:
        return b""

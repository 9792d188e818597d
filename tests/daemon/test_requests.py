"""Whatever comes through the socket: an answer, or one line that says what is wrong with it."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homes import Home
from syncd.holder import VERBS
from syncd.ops.requests import REQUESTS
from syncd.simulator import Simulator, World

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([2**63, -(2**63) - 1, 10**30, 0, 1, -1])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | st.sampled_from(["acme", "c1", "\x00", "../..", "/proc/1/mem", "x" * 3000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=4,
)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A home with a daemon that has nothing to do."""
    with Simulator(World.generate(3, conversations=3, messages=20)) as sim:
        found = Home(tmp_path_factory.mktemp("home"))
        found.environ |= {"OT_API_TOKEN": sim.token}
        found.configure({"acme": {"base_url": sim.url, "poll_seconds": 3600, "idle_seconds": 3600}})
        daemon = found.start("run")
        daemon.wait_for("daemon.started")
        found.wait_until(lambda: found.states() == {"acme": "ok"})
        yield found
        assert daemon.stop()[0] == 0
        assert "Traceback" not in daemon.err
        found.close()


def say(database: Path, text: bytes) -> dict[str, Any]:
    """What the holder answers in the end."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(20)
        connection.connect(f"{database}.sock")
        connection.sendall(text)
        with connection.makefile("rb") as lines:
            return next(answer for line in lines if "progress" not in (answer := json.loads(line)))


def check(answer: dict[str, Any]) -> None:
    """It is a result, or an error of the caller's."""
    assert "internal error" not in answer.get("error", "")
    assert "\n" not in answer.get("error", "")
    assert "result" in answer or answer["exit_code"] in {1, 2, 69, 75, 77, 78}


RIGHT = (
    st.booleans()
    | st.integers(0, 9)
    | st.text(max_size=4)
    | st.sampled_from(["acme", "c1", "2026-01-01T00:00:00.000Z"])
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, Any]:
    """A command with arguments of its own and others, of types that are right, or nearly."""
    command = draw(st.sampled_from(sorted(set(VERBS) - {"purge"})))
    names = REQUESTS[command].__struct_fields__
    own = {name: draw(RIGHT | VALUES) for name in names if draw(st.integers(0, 9))}
    return command, draw(
        st.just(own) | st.just(own) | st.dictionaries(st.text(max_size=4), VALUES, max_size=2) | VALUES
    )


@settings(max_examples=400)
@given(request=requests())
def test_no_request_is_an_error_of_ours(home: Home, request: tuple[str, Any]) -> None:
    """Arguments of any name and type are used or refused; the daemon goes on."""
    command, arguments = request
    check(say(home.db, json.dumps({"command": command, "arguments": arguments}).encode() + b"\n"))


@pytest.mark.parametrize("command", sorted(VERBS))
def test_a_request_without_its_arguments_is_wrong_usage(home: Home, command: str) -> None:
    """What a verb needs and does not get, or gets as another type, is named, with 2; unknown arguments are too."""
    wrong: list[Any] = [{"account": 5}, {"accounts": 5}, {"account": ["acme"]}, {"nonsense": 1}, []]
    for arguments in wrong:
        answer = say(home.db, json.dumps({"command": command, "arguments": arguments}).encode() + b"\n")
        assert answer.get("exit_code") == 2, (command, arguments, answer)
        assert "internal error" not in answer["error"]


@pytest.mark.parametrize(
    "text",
    [
        b'{"command": "sync", "arguments": {"accounts": ' + b"[" * 100_000 + b"]" * 100_000 + b"}}\n",
        b'{"command": "send", "arguments": {"account": "acme", "conversation_id": "c", "content": "\\ud800"}}\n',
        b'{"command": "outbox_cancel", "arguments": {"account": "acme", "id": 1' + b"0" * 400 + b"}}\n",
        b'{"command": "outbox_cancel", "arguments": {"account": "acme", "id": 1e400}}\n',
    ],
    ids=["nested", "half a letter", "a long number", "an endless number"],
)
def test_json_at_its_limits_is_wrong_usage(home: Home, text: bytes) -> None:
    """JSON that is allowed and makes no sense is refused like any other."""
    answer = say(home.db, text)
    assert (answer.get("exit_code"), "internal error" in answer["error"]) == (2, False), answer

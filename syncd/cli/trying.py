"""Trying it without an account: simulate, demo."""

import asyncio
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from syncd.cli.options import new_family
from syncd.cli.terminal import make_console, print_rows
from syncd.errors import MissingExtraError, UsageError
from syncd.files import create_text
from syncd.store.read import reading

app = new_family()


@app.command()
def simulate(
    *,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 0,
    seed: Annotated[int, typer.Option(help="Another number makes another world.")] = 1,
    conversations: Annotated[int, typer.Option(min=0, max=100_000, help="How many conversations to make up.")] = 200,
    messages: Annotated[int, typer.Option(min=0, max=10_000_000, help="How many messages to make up.")] = 20_000,
    live: Annotated[
        bool, typer.Option("--live/--still", help="Let new messages arrive, or leave all as it is.")
    ] = True,
) -> None:
    """Run a local OpenTrain (and OpenATS) server with made-up data until Ctrl-C; prints its address and token."""
    try:
        from syncd.simulator.server import serve
    except ModuleNotFoundError as error:
        raise MissingExtraError("the simulator", str(error.name), "simulator") from error
    serve(
        host=host, port=port, seed=seed, conversations=conversations, messages=messages, live=live, announce=_announce
    )


def _announce(text: str) -> None:
    """Print at once, also into a pipe: whoever started the simulator waits for the address."""
    print(text, flush=True)


# The main job end to end, with nothing but this program: mirror a made-up inbox, watch it live, ask it things.


_QUESTIONS = (
    (
        "What was said last, here and there?",
        (
            "SELECT account, coalesce(candidate_name, title, type) AS chat, job_title, last_sender, last_message"
            " FROM inbox WHERE conversation_id IN"
            " (SELECT conversation_id FROM inbox AS i WHERE i.account = inbox.account"
            " ORDER BY last_message_at DESC LIMIT 3) ORDER BY last_message_at DESC"
        ),
    ),
    (
        "Who waits longest for an answer?",
        (
            "SELECT coalesce(candidate_name, title, type) AS who, job_title,"
            " ROUND(waiting_seconds / 3600.0, 1) AS hours,"
            " substr(replace(last_message, char(10), ' '), 1, 60) AS last_message"
            " FROM needs_reply ORDER BY waiting_seconds DESC LIMIT 5"
        ),
    ),
    (
        "How fast do we answer, by job?",
        (
            "SELECT j.title AS job, COUNT(*) AS answers, ROUND(AVG(r.seconds) / 3600, 1) AS mean_hours"
            " FROM response_times r"
            " LEFT JOIN jobs j ON j.account = r.account AND j.id = r.job_id WHERE r.seconds IS NOT NULL"
            " GROUP BY 1 ORDER BY 2 DESC LIMIT 5"
        ),
    ),
    (
        "Who interviewed best?",
        "SELECT candidate_name, job_title, score, question_count FROM interview_results ORDER BY score DESC LIMIT 5",
    ),
)


@app.command()
def demo(
    *,
    seconds: Annotated[float, typer.Option(min=1, max=86_400, help="How long to watch the inbox live.")] = 8,
    folder: Annotated[
        Path | None, typer.Option("--dir", show_default=False, help="Where the database goes; a new folder if absent.")
    ] = None,
) -> None:
    """Mirror a made-up inbox, watch it live for some seconds, then ask the database a few things."""
    try:
        from syncd.simulator import Simulator
    except ModuleNotFoundError as error:
        raise MissingExtraError("the demo", str(error.name), "simulator") from error
    place = folder or Path(tempfile.mkdtemp(prefix="syncd-demo-"))
    database = place / "syncd.db"
    config = place / "config.toml"
    for made in (database, config):
        if os.path.lexists(made):
            raise UsageError(f"{made} is there already; name another folder with --dir")
    place.mkdir(parents=True, exist_ok=True)
    with Simulator(conversations=200, messages=20_000) as server:
        _say(f"A made-up OpenTrain listens on {server.url}: 200 conversations, 20,000 messages.")
        _say(f"A made-up OpenATS listens on {server.openats_url}: the team's chats about jobs and candidates.")
        create_text(config, _CONFIG.format(path=database, url=server.url))
        asyncio.run(_mirror(config, server, seconds))
    _ask(database)
    _say(f"\nThe database lies at {database}. Go on with:\n  syncd --db {database} inbox")


_CONFIG = """\
[store]
path = "{path}"

[accounts.demo]
source = "opentrain"
base_url = "{url}"
token_env = "SYNCD_DEMO_TOKEN"
poll_seconds = 1
idle_seconds = 1

[accounts.team]
source = "openats"
base_url = "{url}/api"
poll_seconds = 1
idle_seconds = 1
"""


async def _mirror(config: Path, server: Any, seconds: float) -> None:
    """The daemon's own code, for a while."""
    from syncd import app as wiring
    from syncd import logs
    from syncd.config.load import load
    from syncd.daemon import Daemon
    from syncd.ops.service import Supervisor

    logs.configure("warning", stream=sys.stderr)  # events are shown by _Screen
    environ = {"SYNCD_DEMO_TOKEN": server.token}
    settings = load(config, environ)
    async with wiring.hold(settings, environ, announcer=_Screen()) as holder:
        _say("The first pass:")
        for name in holder.mirrors:
            cost = (await holder.poll(name)).cost
            _say(f"  {name}: {cost.requests} requests, {cost.rows} rows in {cost.seconds:.1f} s")
        _say(f"Watching it live for {seconds:.0f} seconds, a poll a second:")
        daemon = Daemon(holder, lambda: settings, Supervisor({}))
        asyncio.get_running_loop().call_later(seconds, daemon.stopping.set)
        server.play(every=0.4)
        await daemon.run()


class _Screen:
    """Shows events to a person as they are committed."""

    def events(self, events: Sequence[Any]) -> None:
        """One line an event."""
        for recorded in events:
            event = recorded.event
            about = event.conversation_id or event.proposal_id or ""
            data = " ".join(_fact(name, value) for name, value in event.data.items() if value)
            _say(f"  {recorded.id:>4}  {event.kind:<26} {about}  {data}")

    def history(self, account: str, counts: dict[str, int]) -> None:
        """One line for what was there before."""
        found = ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items()))
        _say(f"  {account}: history, told in one line: {found}")


def _fact(name: str, value: Any) -> str:
    return name if value is True else f"{name}={value}"


def _ask(database: Path) -> None:
    console = make_console()
    with reading(database) as connection:
        for question, sql in _QUESTIONS:
            console.print(f"\n{question}", style="bold")
            found = connection.execute(sql)
            names = [column[0] for column in found.description]
            print_rows(console, names, [[row[name] for name in names] for row in found])


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()

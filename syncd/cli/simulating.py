"""A server to try things on: simulate."""

from typing import Annotated

import typer

from syncd.cli.options import new_family
from syncd.errors import SyncdError

app = new_family()


@app.command()
def simulate(
    *,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 0,
    seed: Annotated[int, typer.Option(help="Another number makes another world.")] = 1,
    conversations: Annotated[int, typer.Option(min=0, help="How many conversations to make up.")] = 200,
    messages: Annotated[int, typer.Option(min=0, help="How many messages to make up.")] = 20_000,
    live: Annotated[
        bool, typer.Option("--live/--still", help="Let new messages arrive, or leave all as it is.")
    ] = True,
) -> None:
    """Run a local OpenTrain (and OpenATS) server with made-up data until Ctrl-C; prints its address and token."""
    try:
        from syncd.simulator.server import serve
    except ModuleNotFoundError as error:
        raise SyncdError(f"the simulator needs the package {error.name}; install syncd[simulator]") from error
    serve(
        host=host, port=port, seed=seed, conversations=conversations, messages=messages, live=live, announce=_announce
    )


def _announce(text: str) -> None:
    """Print at once, also into a pipe: whoever started the simulator waits for the address."""
    print(text, flush=True)

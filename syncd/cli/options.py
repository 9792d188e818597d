"""Where things are: `--config` and `--db`, before or after the command."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec

import typer

Words = ParamSpec("Words")

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", show_default=False, help="The configuration; found by itself if absent."),
]
DatabaseOption = Annotated[
    Path | None,
    typer.Option("--db", metavar="FILE", show_default=False, help="The database; wins over the configuration's."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]
AccountOption = Annotated[
    str | None, typer.Option("--account", metavar="NAME", show_default=False, help="Only this account.")
]


def new_family(**settings: Any) -> typer.Typer:
    """An application for a family of commands: plain help, and errors left to `main`."""
    return typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None, **settings)


@dataclass(frozen=True)
class Places:
    """The configuration and the database that the command line names; None where it names none."""

    config: Path | None = None
    db: Path | None = None


def places_so_far(context: typer.Context) -> Places:
    """What the words before the one that is being completed name; older typers leave them the texts they are."""
    outer = context.parent.params if context.parent else {}
    named = (context.params.get(name) or outer.get(name) for name in ("config", "db"))
    return Places(*(Path(path) if path else None for path in named))


def with_places(command: Callable[Concatenate[Places, Words], None]) -> Callable[..., None]:
    """Give a command --config and --db; what they say, here or before the command, is its first argument."""

    def run(context: typer.Context, *, config: Path | None, db: Path | None, **words: Any) -> None:
        outer = context.find_object(Places) or Places()
        command(Places(config=config or outer.config, db=db or outer.db), **words)  # type: ignore[call-arg]  # typer passes what the signature below names

    own = list(inspect.signature(command).parameters.values())[1:]
    added = [
        inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context),
        inspect.Parameter("config", inspect.Parameter.KEYWORD_ONLY, annotation=ConfigOption, default=None),
        inspect.Parameter("db", inspect.Parameter.KEYWORD_ONLY, annotation=DatabaseOption, default=None),
    ]
    named = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    run.__signature__ = inspect.Signature([*named, *added])  # type: ignore[attr-defined]  # how Python lets a function state its signature
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in (*named, *added)}
    run.__name__, run.__doc__, run.__module__ = command.__name__, command.__doc__, command.__module__
    return run

"""The `syncd` command: which families of commands there are, and how every command ends."""

import os
import sys
import traceback
from collections.abc import Iterator, MutableMapping, Sequence
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_group

from syncd.cli.options import ConfigOption, DatabaseOption, Places, new_family
from syncd.cli.terminal import OutputError, PipeClosedError, let_go_of_output, make_safe, take_streams
from syncd.errors import SyncdError, UsageError

FAMILIES: dict[str, tuple[str, ...]] = {
    "syncd.cli.running": ("run", "sync", "accept"),
    "syncd.cli.monitoring": ("status", "check"),
    "syncd.cli.reading": ("inbox", "thread", "sql"),
    "syncd.cli.trying": ("simulate", "demo"),
    "syncd.cli.searching": ("search",),
    "syncd.cli.feeding": ("events",),
    "syncd.cli.sending": ("send", "outbox", "open-conversation"),
    "syncd.cli.exporting": ("export",),
    "syncd.cli.publishing": ("publish",),
    "syncd.cli.erasing": ("purge",),
    "syncd.cli.operating": ("init", "install-service", "doctor", "backup"),
    "syncd.cli.explaining": ("docs",),
}
"""Each family's module, which holds a typer application named `app`, and its commands in the order of the help."""

INTERRUPTED = 130
PIPE_CLOSED = 141

_USAGE_ERROR: type[Exception] = typer.BadParameter.__mro__[1]  # click's UsageError, wherever this typer keeps click
_CLICK_ERROR: type[Exception] = typer.BadParameter.__mro__[2]


class FamilyCommands(MutableMapping[str, Any]):
    """All commands by name; a family is imported when one of its commands is asked for, so that reading stays quick."""

    def __init__(self, families: dict[str, tuple[str, ...]]) -> None:
        self._modules = {name: module for module, names in families.items() for name in names}
        self._loaded: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._loaded:
            self._loaded |= get_group(import_module(self._modules[name]).app).commands
        return self._loaded[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._loaded[name] = command

    def __delitem__(self, name: str) -> None:
        del self._modules[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __len__(self) -> int:
        return len(self._modules)


class SyncdGroup(TyperGroup):
    """The group of all commands; it loads them late."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = FamilyCommands(FAMILIES)


app = new_family(
    cls=SyncdGroup,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer passes a flag's value by position
    if wanted:
        from importlib.metadata import version  # a third of what a reading command would import

        typer.echo(f"syncd {version('syncd')}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def start(
    context: typer.Context,
    *,
    config: ConfigOption = None,
    db: DatabaseOption = None,
    version: Annotated[  # noqa: ARG001 - its callback has done all
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Mirror an OpenTrain inbox into a local SQLite database."""
    context.obj = Places(config=config, db=db)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help(), err=True)
        raise typer.Exit(2)


def run_command(words: Sequence[str]) -> int:
    """Run one command line; whatever happens, the answer is an exit code and at most one line of error."""
    try:
        for word in words:
            _check_word(word)
        ended = app(args=list(words), prog_name="syncd", standalone_mode=False)
        sys.stdout.flush()
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except PipeClosedError:
        let_go_of_output()
        return PIPE_CLOSED
    except OutputError as error:
        let_go_of_output()
        return _report(error, words)
    except Exception as error:  # noqa: BLE001 - the one place where every error becomes a line and a code
        return _report(error, words)
    return ended if isinstance(ended, int) else 0


def _check_word(word: str) -> None:
    """Refuse what neither SQLite nor JSON could hold."""
    if not word.isascii() and any("\ud800" <= letter <= "\udfff" for letter in word):
        raise UsageError(f"the argument {os.fsencode(word)!r} is no UTF-8 text; write it in UTF-8")


def _is_service(words: Sequence[str]) -> bool:
    """Whether the command runs for ever, so that what it says goes into a log."""
    rest = iter(words)
    for word in rest:
        if word in ("--config", "--db"):
            next(rest, None)
        elif not word.startswith("-"):
            return word == "run" or (word == "publish" and "--follow" in words)
    return False


def _report(error: Exception, words: Sequence[str]) -> int:
    """Tell the error in one line, a service in the form of its log; the answer is the exit code that goes with it."""
    if os.environ.get("SYNCD_DEBUG") == "1":
        traceback.print_exception(error)
    text, code = _describe(error)
    if _is_service(words):
        from syncd import logs  # it is slow to import

        if logs.is_json():
            logs.get_logger().error("service.failed", error=text, exit_code=code)
            return code
    print(f"syncd: {make_safe(text).strip()}", file=sys.stderr)
    return code


def _describe(error: Exception) -> tuple[str, int]:
    """What to say about the error, and the exit code."""
    if isinstance(error, SyncdError):
        return str(error), error.exit_code
    if isinstance(error, _USAGE_ERROR):
        command = getattr(getattr(error, "ctx", None), "command_path", "syncd")
        return f"{error.format_message().rstrip('.')} (see {command} --help)", 2  # type: ignore[attr-defined]  # click's own
    if isinstance(error, _CLICK_ERROR):
        return error.format_message(), 1  # type: ignore[attr-defined]  # click's own
    return f"internal error: {type(error).__name__}: {error} (SYNCD_DEBUG=1 shows where)", 1


def main() -> None:
    """Run the command line of this process."""
    take_streams()
    sys.exit(run_command(sys.argv[1:]))


if __name__ == "__main__":
    main()

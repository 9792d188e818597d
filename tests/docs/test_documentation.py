"""What README.md and syncd/docs say is so: links lead somewhere, names exist, and what is shown runs."""

import os
import re
import shlex
import signal
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_group

from documents import DOCS, PAGES, ROOT, Block, find_blocks, read_queries
from homes import Home, Running
from people import World
from syncd.cli.explaining import TOPICS
from syncd.cli.main import FAMILIES
from syncd.config.load import load

MOST_BYTES_OF_THE_README = 10_240
BIN = Path(sys.executable).parent
COMMANDS: dict[str, Any] = {
    name: get_group(import_module(module).app).commands[name] for module, names in FAMILIES.items() for name in names
}

# What a test can't do: change the machine, or ask for what is not there. Their words are checked all the same.
NOT_RUN = ("sudo ", "journalctl ", "pip install ", "python3 -m venv ", ".venv-test/bin/pip install ")
NOT_RUN_TOOLS = ("datasette ", "duckdb ", ".venv-test/bin/ruff ", ".venv-test/bin/mypy", ".venv-test/bin/lint-imports")
ENDLESS = re.compile(r"^syncd (run|simulate)\b|--follow\b")
MAY_FIND_SOMETHING = re.compile(r"^syncd (check|doctor)\b")  # they end with 1 when something is not well


def read_lines() -> list[tuple[str, str]]:
    """Each command of a block of shell, with its page and without its comment; a line that is indented goes on."""
    found = []
    for block in find_blocks("sh"):
        lines = block.text.replace("\n  ", " ").splitlines()
        found += [(block.page, line.partition("  #")[0].rstrip()) for line in lines if line and line[0] != "#"]
    return found


def test_the_readme_stays_short() -> None:
    """What a newcomer reads first has at most 10 kB; the rest is in syncd/docs."""
    assert (ROOT / "README.md").stat().st_size <= MOST_BYTES_OF_THE_README


def test_what_is_shown_fits_a_terminal() -> None:
    """No line of a block is longer than what `syncd docs` puts on one."""
    blocks = [block for language in ("sh", "sql", "toml", "python", "json", "yaml") for block in find_blocks(language)]
    long = [
        line for block in blocks for line in block.text.splitlines() if block.page != "README.md" and len(line) > 96
    ]
    assert len(blocks) > len(PAGES)
    assert long == []


def test_each_topic_is_a_document() -> None:
    """`syncd docs` knows every document, and no other."""
    assert sorted(TOPICS) == sorted(path.stem for path in DOCS.glob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_links_and_paths_lead_somewhere(page: Path) -> None:
    """Every link to a file, and every path of the repository, is there."""
    text = page.read_text(encoding="utf-8")
    links = [page.parent / link for link in re.findall(r"\]\((?!https?:)([^)#]+)\)", text)]
    named = [ROOT / path for path in re.findall(r"`((?:syncd|tests|systemd|\.ci)/[\w./-]+|[\w.]+\.toml)`", text)]
    assert [str(path) for path in links + named if not path.exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.name))
def test_commands_and_options_exist(page: Path) -> None:
    """Whatever is shown as a command is one, with its options."""
    shown = re.findall(r"`(syncd [^`]+)`", page.read_text(encoding="utf-8"))
    shown += [line for name, line in read_lines() if name == page.name]
    commands = [
        command for words in shown for command in re.findall(r"(?<!opt/)(?<!-u )(?<![\w-])syncd [^|&;]+", words)
    ]
    assert [command for command in commands if not known(command)] == []


def known(words: str) -> bool:
    """Whether these words name a command, and options that it has."""
    name = words.split()[1]
    if name.startswith("-"):
        return name in {"--install-completion", "--version", "--help", "--db", "--config"}
    if name.isupper():
        return True
    command = COMMANDS.get(name)
    options = re.findall(r"(?<!\S)\[?(--[a-z-]+)", words.partition("--exec ")[0])
    return command is not None and set(options) <= {
        option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
    } | {"--help"}


@pytest.mark.parametrize("heading", read_queries())
def test_queries_run(people: World, heading: str) -> None:
    """Every query runs as it stands."""
    people.fetch(read_queries()[heading])


@pytest.mark.parametrize("block", list(find_blocks("toml")), ids=lambda block: f"{block.page}:{block.line}")
def test_settings_are_right(tmp_path: Path, block: Block) -> None:
    """Every piece of configuration holds; one that shows no account is part of one with an account."""
    text = (
        block.text if "accounts" in tomllib.loads(block.text) else f'[accounts.a]\nsource = "opentrain"\n{block.text}'
    )
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    assert load(path, {"HOME": str(tmp_path)}).accounts


@pytest.mark.parametrize("line", dict.fromkeys(line for _, line in read_lines()))
def test_commands_run(request: pytest.FixtureRequest, home: Home, tmp_path: Path, line: str) -> None:
    """Every command line does what it says on a machine that has mirrored an inbox."""
    if line.startswith((*NOT_RUN, *NOT_RUN_TOOLS)):
        check_extras(line)
        return
    command = prepare(line, home, tmp_path)
    if "postgresql://" in command:
        command = command.replace("postgresql://syncd@db/reports", request.getfixturevalue("target"))
    code, told = run_shell(command, home, tmp_path)
    assert code in ((0, 1) if MAY_FIND_SOMETHING.search(line) else (0,)), told


def check_extras(line: str) -> None:
    """What is installed with an extra is one that pyproject.toml has."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    named = [extra for found in re.findall(r"'\.\[([\w,]+)\]'", line) for extra in found.split(",")]
    assert set(named) <= set(extras)


def prepare(line: str, home: Home, folder: Path) -> str:
    """The line with this machine's ids and places in it; a run of tests only collects them, a benchmark only helps."""
    if "-m pytest" in line:
        line = f"cd {shlex.quote(str(ROOT))} && {line} --collect-only -qq -p no:cacheprovider"
    if "benchmarks" in line:
        line = f"cd {shlex.quote(str(ROOT))} && {line} --help"
    wanted = (
        "SELECT {} FROM inbox WHERE type = 'DIRECT_MESSAGE' AND candidate_id IS NOT NULL AND gone_at IS NULL LIMIT 1"
    )
    for word, column in (
        ("CONVERSATION", "conversation_id"),
        ("PROPOSAL", "proposal_id"),
        ("CANDIDATE", "candidate_id"),
    ):
        if re.search(rf"\b{word}\b", line):
            line = re.sub(rf"\b{word}\b", home.value(wanted.format(column)), line)
    for place in ("/srv/", "/var/lib/syncd/"):
        line = line.replace(place, f"{folder}/")
    return line.replace(".venv/bin/", "").replace(".venv-test/bin/", f"{BIN}/")


def run_shell(command: str, home: Home, folder: Path) -> tuple[int, str]:
    """Run a line in bash; one that never ends by itself is ended once it has said something."""
    environ = home.environ | {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "PYTHONWARNINGS": "default"}
    process = subprocess.Popen(  # noqa: S603 - our own documents
        ["/usr/bin/env", "bash", "-euo", "pipefail", "-c", command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        cwd=folder,
        env=environ,
        start_new_session=True,
    )
    running = Running(process)
    home.started.append(running)
    if ENDLESS.search(command):
        running.wait_for_any()
        os.killpg(process.pid, signal.SIGINT)
        ended = running.end()
        return (0 if ended.code in (0, 130) else ended.code), ended.out + ended.err
    ended = running.end()
    return ended.code, ended.out + ended.err

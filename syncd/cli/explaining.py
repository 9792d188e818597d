"""Explaining itself: docs."""

import re
import sys
from importlib.resources import files
from typing import Annotated

import typer
from rich.text import Text

from syncd.cli.options import JsonOption, new_family
from syncd.cli.terminal import make_console, make_table, paging, print_json, print_json_rows
from syncd.errors import UsageError

TOPICS = {
    "contract": "what you may rely on: settings, commands, tables, events, states",
    "events": "the change feed: consumers, commands that follow it, when what is seen",
    "sending": "answering from the shell, and what becomes of a message",
    "search": "what a search finds, and how to ask",
    "reports": "queries to begin with, exports, and other tools on the mirror",
    "publishing": "the tables and views in PostgreSQL",
    "service": "running under systemd, and watching it",
    "security": "what is protected from whom, erasing a person, reporting a hole",
    "columns": "every column: type, unit, what NULL means, description",
    "reliability": "what a crash, an outage or a bad answer can do, and how that is tested",
    "performance": "what it costs, measured beside its limits",
    "design": "how the program works",
    "contributing": "running a test in a minute, the linters, where things are",
}
"""Each topic and what it is about, in the order in which people need them."""

_LINE_WIDTH = 100  # longer lines are hard to read
_OTHER_TOPIC = re.compile(r"\[([^\]]+)\]\((\w+)\.md\)")

app = new_family()


@app.command()
def docs(
    *,
    topic: Annotated[
        str, typer.Argument(metavar="TOPIC", help="What to read about; without it the topics are listed.")
    ] = "",
    as_json: JsonOption = False,
) -> None:
    """Show the documentation, as text for people on a terminal and as Markdown elsewhere."""
    if not topic:
        _print_topics(as_json=as_json)
        return
    if topic not in TOPICS:
        raise UsageError(f"there is no topic {topic}; there is {', '.join(TOPICS)}")
    text = render_columns() if topic == "columns" else _read(topic)
    if as_json:
        print_json({"topic": topic, "markdown": text})
    elif sys.stdout.isatty():
        _show(text)
    else:
        sys.stdout.write(text)


def _print_topics(*, as_json: bool) -> None:
    if as_json:
        print_json_rows({"topic": topic, "about": about} for topic, about in TOPICS.items())
        return
    table = make_table("topic", "about")
    for topic, about in TOPICS.items():
        table.add_row(Text(topic), Text(about))
    console = make_console()
    console.print(table)
    console.print("\nRead one with: syncd docs TOPIC")


def _read(topic: str) -> str:
    return (files("syncd") / "docs" / f"{topic}.md").read_text(encoding="utf-8")


def _show(text: str) -> None:
    """Print the text for people; a link to another topic becomes the command that shows it."""
    from rich.markdown import Markdown

    said = _OTHER_TOPIC.sub(r"\1 (`syncd docs \2`)", text)
    with paging() as console:
        console.print(Markdown(said, code_theme="ansi_dark", hyperlinks=False), width=min(console.width, _LINE_WIDTH))


# The columns, from the catalogue itself.


def render_columns() -> str:
    """The columns of every public table and view, as Markdown."""
    from syncd.store.tables import describe_catalogue

    catalogue = describe_catalogue()
    lines = [_read("columns")]
    for relation in (*catalogue.tables, *catalogue.views):
        kind = " (view)" if relation.kind == "view" else ""
        lines += [f"## {relation.name}{kind}", "", relation.description, ""]
        lines += ["| column | type and unit | what it holds |", "|---|---|---|"]
        for column in relation.columns:
            name = f"**{column.name}**" if column.name in relation.key else column.name
            unit = f", {column.unit}" if column.unit else ""
            scale = f" Scale: {column.scale}." if column.scale else ""
            null = f" NULL: {column.null}." if column.null else ""
            lines.append(f"| {name} | {column.type}{unit} | {column.description}{scale}{null} |")
        lines.append("")
    return "\n".join(lines)

"""Searching what is mirrored: search."""

from datetime import date, datetime, timedelta
from typing import Annotated

import typer
from msgspec.structs import replace
from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from syncd.cli.options import (
    MOST,
    AccountOption,
    JsonOption,
    Places,
    check_account,
    new_family,
    open_database,
    with_places,
)
from syncd.cli.reading import complete_conversation
from syncd.cli.terminal import make_safe, paging, print_json_rows, render_distance, render_local, safe_text
from syncd.core.times import parse_duration, render_time
from syncd.core.tokenizer import Phrase, parse_query
from syncd.errors import SyncdError, UsageError
from syncd.store.database import Database, Row
from syncd.store.read import read_holders, read_now
from syncd.store.search import SearchQuery
from syncd.store.search import search as find

SHOWN_BY_DEFAULT = 20
_AROUND = 90
"""Characters shown before the first match, and so many times four behind it."""

app = new_family()


@app.command()
@with_places
def search(  # noqa: PLR0913 - each is an option of the command
    places: Places,
    *,
    text: Annotated[
        str,
        typer.Argument(metavar="TEXT", help='Words that must all occur; "a phrase"; a beginning*.', show_default=False),
    ],
    sender: Annotated[
        str | None, typer.Option("--from", metavar="WHO", show_default=False, help="A part of the name, an id, or me.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option("--since", metavar="DATE", show_default=False, help="2026-11-22, a time, or an age such as 7d."),
    ] = None,
    conversation: Annotated[
        str | None,
        typer.Option(
            "--conversation",
            metavar="ID",
            show_default=False,
            help="Only this conversation.",
            autocompletion=complete_conversation,
        ),
    ] = None,
    rank: Annotated[bool, typer.Option("--rank", help="Best first instead of newest first.")] = False,
    account: AccountOption = None,
    limit: Annotated[
        int, typer.Option(metavar="N", min=0, max=MOST, help="At most so many, 0 for all.")
    ] = SHOWN_BY_DEFAULT,
    as_json: JsonOption = False,
) -> None:
    """Search messages and transcripts, newest first.

    Case, accents and vowel signs don't matter; where a script sets no spaces (Chinese, Japanese, Thai …) any part
    of a word is found, in Korean too.
    """
    wanted = SearchQuery(
        phrases=_parse_text(text), sender=sender, conversation_id=conversation, account=account, rank=rank
    )
    with open_database(places) as database:
        _check_places(database, wanted)
        now = read_now(database)
        since_time = None if since is None else parse_since(since, now)
        hits = find(database, replace(wanted, since=since_time), limit or None)
    if as_json:
        print_json_rows(hits)
        return
    with paging() as console:
        print_hits(console, hits, now, cut=bool(limit) and len(hits) == limit)


def _parse_text(text: str) -> list[Phrase]:
    phrases = parse_query(text)
    if not phrases:
        raise UsageError(f"there is no word to search for in {make_safe(text)!r}")
    return phrases


def _check_places(database: Database, wanted: SearchQuery) -> None:
    check_account(database, wanted.account)
    if wanted.conversation_id is not None and not read_holders(database, wanted.conversation_id):
        raise SyncdError(f"there is no conversation {wanted.conversation_id}; syncd inbox lists them")


def parse_since(text: str, now: str) -> str:
    """The time that a date, a time (local without a zone) or an age names; UsageError says what would be right."""
    try:
        return render_time(datetime.fromisoformat(now) - timedelta(seconds=parse_duration(text)))
    except ValueError:
        pass
    try:
        moment = datetime.fromisoformat(text)
        return render_time(moment.astimezone())
    except (ValueError, OverflowError):
        today = date.fromisoformat(now[:10])
        raise UsageError(f"--since takes a date such as {today}, a time, or an age such as 7d, not {text!r}") from None


def print_hits(console: Console, hits: list[Row], now: str, *, cut: bool) -> None:
    """Print each hit: who and when, where, and the text around the match, which is marked."""
    if not hits:
        console.print("Nothing found.")
        return
    for hit in hits:
        _print_hit(console, hit, now)
    if cut:
        console.print(Text(f"The first {len(hits)}; --limit 0 shows all.", style="dim"))


def _print_hit(console: Console, hit: Row, now: str) -> None:
    when = "" if hit["sent_at"] is None else f"{render_local(hit['sent_at'])}  {render_distance(hit['sent_at'], now)}"
    who = safe_text(hit["sender"] or "unknown", "green" if hit["direction"] == "out" else "cyan")
    gone = Text("deleted", style="red") if hit["gone_at"] else Text("")
    console.print(Text("  ").join(part for part in (who, Text(when, style="dim"), gone) if part))
    id = hit["conversation_id"] or hit["proposal_id"]
    kind = "interview" if hit["kind"] == "interview" else None
    names = (hit["title"] or hit["candidate_name"], hit["job_title"], kind, id)
    console.print(Text("  ").append(" · ".join(make_safe(str(name)) for name in names if name), style="dim"))
    marks = ("«", "»") if console.color_system is None else ("", "")
    console.print(Padding(mark_matches(hit["content"], hit["matches"], marks), (0, 0, 1, 2)))


def mark_matches(content: str, matches: list[tuple[int, int]], marks: tuple[str, str] = ("", "")) -> Text:
    """The text around the first match, without line breaks; every match in it stands out, and between the marks."""
    first = matches[0][0] if matches else 0
    begin = max(0, first - _AROUND)
    end = min(len(content), first + 4 * _AROUND)
    shown = Text("… " if begin else "")
    at = begin
    for start, stop in matches:
        if start >= end:
            break
        shown.append(make_safe(content[at:start])).append(
            make_safe(content[start:stop]).join(marks), style="bold reverse"
        )
        at = stop
    return shown.append(make_safe(content[at:end]) if at < end else "").append(" …" if end < len(content) else "")

"""Search messages and transcripts; imports nothing heavy."""

import re
import sqlite3
from collections.abc import Iterator
from itertools import islice

from msgspec import Struct

from syncd.core.tokenizer import Phrase, find_matches, fold, parse_query
from syncd.errors import UsageError
from syncd.store.database import Database, Row
from syncd.store.index import first_number, place_token

_MOST_PLACES = 500
"""Conversations of people of a name up to which they are named in the query, instead of each hit being looked at."""


class SearchQuery(Struct, frozen=True, kw_only=True):
    """What is looked for; None for what does not matter. `since` is a time, `sender` a name or an id."""

    phrases: list[Phrase]
    sender: str | None = None
    since: str | None = None
    conversation_id: str | None = None
    account: str | None = None
    rank: bool = False


def search(database: Database, wanted: SearchQuery, limit: int | None) -> list[Row]:
    """The hits, newest first, or with `rank` best first; `matches` are the places in `content` that were met."""
    places: dict[tuple[str, str, str], Row] = {}
    hits = (_describe(database, hit, places) for hit in database.execute(*_compose(database, wanted)))
    sent = (hit for hit in hits if hit and _is_from(hit, wanted.sender))
    found = [hit | {"matches": find_matches(hit["content"], wanted.phrases)} for hit in islice(sent, limit)]
    for hit in found:
        del hit["sender_user_id"]
    return found


def _compose(database: Database, wanted: SearchQuery) -> tuple[str, Row]:
    """The query on the index: in the order of its numbers the newest come first, without the others being read."""
    # Without --rank; that weighs every text that is met, and there is no way round the index.
    wide = [] if wanted.rank else [phrase for phrase in wanted.phrases if is_broad_prefix(database, phrase)]
    where, words = [], {}
    if match := _render_match(database, wanted, wide):
        where.append("_search MATCH :match")
        words["match"] = match
    if wide:
        _look_into_texts(database, wide)
        where.append("is_met(words)")
    if wanted.since is not None:
        where.append(f"rowid >= {first_number(wanted.since)}")
    if wanted.account is not None:
        where.append("account = :account")
        words["account"] = wanted.account
    order = "rank" if wanted.rank else "rowid DESC"
    query = f"SELECT kind, account, owner_id, id FROM _search WHERE {' AND '.join(where)} ORDER BY {order}"  # noqa: S608 - built of constants
    return query, words


def _look_into_texts(database: Database, phrases: list[Phrase]) -> None:
    patterns = [compile_phrase(phrase) for phrase in phrases]
    database.create_function(
        "is_met", 1, lambda text: all(pattern.search(text) for pattern in patterns), deterministic=True
    )


def _render_match(database: Database, wanted: SearchQuery, wide: list[Phrase]) -> str:
    """What the index is asked for; of a phrase with a wide beginning only the words before it; empty for nothing."""
    asked = [Phrase(phrase.words[:-1]) if phrase in wide else phrase for phrase in wanted.phrases]
    phrases = [_render_phrase(phrase) for phrase in asked if phrase.words]
    parts = [f"words : ({' AND '.join(phrases)})"] if phrases else []
    if wanted.conversation_id is not None:
        parts.append(_render_places(_conversation_places(database, wanted.conversation_id)))
    if wanted.sender is not None:
        parts += _narrow_to(database, wanted.sender)
    return " AND ".join(parts)


def _render_phrase(phrase: Phrase) -> str:
    return f'"{" ".join(phrase.words)}"{" *" if phrase.prefix else ""}'


def _render_places(tokens: list[str]) -> str:
    return f"place : ({' OR '.join(tokens)})"


def _conversation_places(database: Database, conversation_id: str) -> list[str]:
    """The conversation in whichever accounts hold it, and its proposal's interview."""
    query = "SELECT account, proposal_id FROM conversations WHERE id = :id"
    found = [(row["account"], row["proposal_id"]) for row in database.execute(query, {"id": conversation_id})]
    messages = [place_token("message", account, conversation_id) for account, _ in found]
    return messages + [place_token("interview", account, id) for account, id in found if id is not None]


def _narrow_to(database: Database, sender: str) -> list[str]:
    """What every hit of this sender has in the index, so that not all others need to be looked at."""
    name = parse_name(sender)
    people = (
        "SELECT account, id FROM candidates"
        # Plain names, which are most, are sorted out before they are looked at letter by letter.
        " WHERE (name GLOB '*[^ -~]*' OR instr(lower(name), :word)) AND is_named(name)"
        " ORDER BY account, id LIMIT :limit"
    )
    database.create_function("is_named", 1, lambda text: _is_named(text, name), deterministic=True)
    found = database.execute(people, {"limit": _MOST_PLACES + 1, "word": name.words[0]}).fetchall()
    if len(found) > _MOST_PLACES or is_broad_prefix(database, name):
        return []
    places = [token for row in found for token in _places_of(database, row)]
    named = f"sender : {_render_phrase(name)}"
    return [f"({' OR '.join([named, *([_render_places(places)] if places else [])])})"]


def parse_name(text: str) -> Phrase:
    """The words of a name or an id, of which the last may be a beginning; raises UsageError when there is none."""
    phrases = parse_query('"' + text.replace('"', " ") + '"')
    if not phrases:
        raise UsageError(f"{text!r} is no name; give a part of one, an id, or me")
    words = phrases[0].words
    return Phrase(words, prefix=words != ("me",))


def _is_named(name: str | None, wanted: Phrase) -> bool:
    folded = fold(name or "")  # the quick look first: there are many people
    return all(word in folded for word in wanted.words) and bool(find_matches(folded, [wanted]))


def _places_of(database: Database, candidate: Row) -> Iterator[str]:
    query = (
        "SELECT p.id AS proposal_id, c.id FROM proposals p"
        " LEFT JOIN conversations c ON c.account = p.account AND c.proposal_id = p.id"
        " WHERE p.account = :account AND p.candidate_id = :id"
    )
    for row in database.execute(query, candidate).fetchall():
        yield place_token("interview", candidate["account"], row["proposal_id"])
        if row["id"] is not None:
            yield place_token("message", candidate["account"], row["id"])


def _is_from(hit: Row, sender: str | None) -> bool:
    return sender is None or sender == hit["sender_user_id"] or _is_named(hit["sender"], parse_name(sender))


_MESSAGE = """
SELECT 'message' AS kind, t.account, t.conversation_id, c.proposal_id, t.message_id, t.sent_at, t.sender, t.direction,
       t.content, t.gone_at, m.sender_user_id
FROM thread t
JOIN messages m ON m.account = t.account AND m.id = t.message_id
LEFT JOIN conversations c ON c.account = t.account AND c.id = t.conversation_id
WHERE t.account = :account AND t.conversation_id = :owner_id AND t.message_id = :id
"""
_INTERVIEW = """
SELECT 'interview' AS kind, i.account, c.id AS conversation_id, i.proposal_id, i.id AS message_id, i.sent_at,
       CASE WHEN i.role = 'candidate' THEN coalesce(k.name, i.role) ELSE i.role END AS sender, i.role AS direction,
       i.content, i.gone_at, NULL AS sender_user_id
FROM interview_messages i
LEFT JOIN proposals p ON p.account = i.account AND p.id = i.proposal_id
LEFT JOIN candidates k ON k.account = p.account AND k.id = p.candidate_id
LEFT JOIN conversations c ON c.account = i.account AND c.proposal_id = i.proposal_id
WHERE i.account = :account AND i.proposal_id = :owner_id AND i.id = :id LIMIT 1
"""
_PLACES = {
    "message": (
        "SELECT title, candidate_name, job_title FROM inbox WHERE account = :account AND conversation_id = :owner_id"
    ),
    "interview": (
        "SELECT NULL AS title, k.name AS candidate_name, coalesce(j.title, p.job_title) AS job_title FROM proposals p"
        " LEFT JOIN jobs j ON j.account = p.account AND j.id = p.job_id"
        " LEFT JOIN candidates k ON k.account = p.account AND k.id = p.candidate_id"
        " WHERE p.account = :account AND p.id = :owner_id"
    ),
}


def _describe(database: Database, hit: Row, places: dict[tuple[str, str, str], Row]) -> Row | None:
    """Who, when, where and what; None when the text has just gone."""
    row: Row | None = database.execute(_MESSAGE if hit["kind"] == "message" else _INTERVIEW, hit).fetchone()
    if row is None:
        return None
    owner = (hit["kind"], hit["account"], hit["owner_id"])
    if owner not in places:
        found = database.execute(_PLACES[hit["kind"]], hit).fetchone()
        places[owner] = found or dict.fromkeys(("title", "candidate_name", "job_title"))
    return row | places[owner]


# Beginnings of words that too much begins with: how they are told, and how they are met without the index.
#
# The index answers `w*` by putting together the lists of all words that begin so, which takes seconds where these are
# millions of places. What so much begins with is soon met by looking at the newest texts themselves.


_BROAD_PREFIX = 20_000
"""Texts from which on a beginning is looked for in the texts: the index puts so many places together in some ms."""
_TERMS = "SELECT doc FROM temp._terms WHERE term >= :low AND term < :high"
_IN_WORDS = "0-9A-Za-z\x80-\U0010ffff"
"""What the index's tokenizer makes words of; all else stands between them."""


def is_broad_prefix(database: sqlite3.Connection, phrase: Phrase) -> bool:
    """Whether the phrase ends in a beginning that so many texts have; costs no more than to count them up to there."""
    if not phrase.prefix:
        return False
    _list_terms(database)
    found = 0
    beginning = phrase.words[-1]
    for row in database.execute(_TERMS, {"low": beginning, "high": f"{beginning}\U0010ffff"}):
        found += row["doc"]
        if found > _BROAD_PREFIX:
            return True
    return False


def _list_terms(database: sqlite3.Connection) -> None:
    """Let this connection see the index's words; a temporary table is in nobody's file."""
    database.execute("PRAGMA query_only = OFF")
    try:
        database.execute("CREATE VIRTUAL TABLE IF NOT EXISTS temp._terms USING fts5vocab (main, _search, row)")
    finally:
        database.execute("PRAGMA query_only = ON")


def compile_phrase(phrase: Phrase) -> re.Pattern[str]:
    """What finds the phrase in a text as the index holds it, exactly where the index would."""
    words = [re.escape(word) for text in phrase.words for word in re.findall(f"[{_IN_WORDS}]+", text)]
    end = "" if phrase.prefix else f"(?![{_IN_WORDS}])"
    return re.compile(f"(?<![{_IN_WORDS}])" + f"[^{_IN_WORDS}]+".join(words) + end, re.ASCII | re.IGNORECASE)

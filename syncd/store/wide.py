"""Beginnings of words that too much begins with: how they are told, and how they are met without the index.

The index answers `w*` by putting together the lists of all words that begin so, which takes seconds where these are
millions of places. What so much begins with is soon met by looking at the newest texts themselves.
"""

import re
import sqlite3

from syncd.core.words import Phrase

_WIDE = 20_000
"""Texts from which on a beginning is looked for in the texts: the index puts so many places together in some ms."""
_TERMS = "SELECT doc FROM temp._terms WHERE term >= :low AND term < :high"
_IN_WORDS = "0-9A-Za-z\x80-\U0010ffff"
"""What the index's tokenizer makes words of; all else stands between them."""


def is_wide(database: sqlite3.Connection, phrase: Phrase) -> bool:
    """Whether the phrase ends in a beginning that so many texts have; costs no more than to count them up to there."""
    if not phrase.prefix:
        return False
    _list_terms(database)
    found = 0
    beginning = phrase.words[-1]
    for row in database.execute(_TERMS, {"low": beginning, "high": f"{beginning}\U0010ffff"}):
        found += row["doc"]
        if found > _WIDE:
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

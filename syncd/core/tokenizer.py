"""Text as words to search by: one way for what is stored, what is asked and what is marked.

Letters lose their case and accents, Arabic and Hebrew their vowel signs, full-width letters their width; variants of
alef and its like are one. A script that puts no space between words (Chinese, Japanese, Korean, Thai, Lao, Khmer,
Burmese) is cut into overlapping pairs of characters, the last one alone: so any part of it is found, words of one or
two characters too. A symbol, such as an emoji, is a word.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

from msgspec import Struct

_DENSE = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1100, 0x11FF), (0x1780, 0x17FF), (0x2E80, 0x2FDF), (0x3005, 0x3007),
    (0x3021, 0x3029), (0x3040, 0x30FF), (0x3105, 0x312F), (0x3130, 0x318F), (0x31A0, 0x31FF), (0x3400, 0x4DBF),
    (0x4E00, 0x9FFF), (0xA000, 0xA4CF), (0xA960, 0xA97F), (0xAC00, 0xD7FF), (0xF900, 0xFAFF), (0xFF66, 0xFFDC),
    (0x1B000, 0x1B2FF), (0x20000, 0x3FFFF),
)  # fmt: skip
_DROPPED = re.compile(
    "[\u0300-\u036f\u0483-\u0489\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06ed\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe00-\ufe0f\ufe20-\ufe2f"
    "\u00ad\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]"
)
# Letters that people write for one another.
_ALIKE = str.maketrans("ىیکةٱ", "ييكها")
_WORD, _TIGHT, _MARK, _SYMBOL, _BETWEEN = "wdms "
_RUNS = re.compile(f"{_WORD}[{_WORD}{_MARK}]*|{_TIGHT}[{_TIGHT}{_MARK}]*|{_SYMBOL}")


class Token(Struct, frozen=True):
    """A word as it is searched by, and where in the text it stands.

    `tail`: the last character of a run cut into pairs. `open`: it stands for every pair that begins with it.
    """

    word: str
    start: int
    end: int
    tail: bool = False
    open: bool = False


class Phrase(Struct, frozen=True):
    """Words that must stand next to each other; with `prefix` the last one is a beginning."""

    words: tuple[str, ...]
    prefix: bool = False


class _Classes(dict[int, str]):
    """What each character is to a search, worked out when it is first met."""

    def __missing__(self, code: int) -> str:
        self[code] = _classify(code)
        return self[code]


def _classify(code: int) -> str:
    category = unicodedata.category(chr(code))
    if category[0] == "M" or _DROPPED.match(chr(code)):
        return _MARK
    if category[0] in "LN" or category == "Co":
        return _TIGHT if any(low <= code <= high for low, high in _DENSE) else _WORD
    return _SYMBOL if category == "So" else _BETWEEN


_CLASSES = _Classes()


def fold(text: str) -> str:
    """The text without what a search overlooks."""
    if text.isascii():
        return text.lower()
    bare = _DROPPED.sub("", unicodedata.normalize("NFKD", text.casefold()))
    return unicodedata.normalize("NFC", bare).translate(_ALIKE)


def split_words(text: str) -> Iterator[Token]:
    """Every word of the text, in order."""
    for run in _RUNS.finditer(text.translate(_CLASSES)):
        start, end = run.span()
        if run[0][0] == _TIGHT:
            yield from _split_tight(text, start, end)
        else:
            for word in fold(text[start:end]).split():
                yield Token(word, start, end)


def _split_tight(text: str, start: int, end: int) -> Iterator[Token]:
    """Pairs of a run's characters, each with the marks on it, then the last character."""
    places = [
        (letter, cluster.start() + start, cluster.end() + start)
        for cluster in _CLUSTERS.finditer(text[start:end])
        for letter in fold(cluster[0])
    ]
    for (first, begin, _), (second, _, stop) in pairwise(places):
        yield Token(first + second, begin, stop)
    if places:
        yield Token(*places[-1], tail=len(places) > 1, open=len(places) == 1)


_CLUSTERS = re.compile("(?s:.)[\u3099\u309a\uff9e\uff9f]?")
"""A character with the Japanese voice marks that make another one of it."""
_BARE = re.compile("[\u3041-\u3096\u30a1-\u30fa\u4e00-\u9fff\uac00-\ud7a3]+")
"""Kana, ideographs and syllables that are folded to themselves."""


def join_words(text: str) -> str:
    """The words with spaces between them, as the index takes them: those of `split_words`, without their places."""
    if text.isascii():
        return text
    return " ".join(filter(None, map(_join_piece, text.split())))


@lru_cache(maxsize=1 << 14)  # people repeat themselves: most words of a text were in those before it
def _join_piece(piece: str) -> str:
    """The words of what stands between two spaces."""
    runs = [(run[0][0], piece[slice(*run.span())]) for run in _RUNS.finditer(piece.translate(_CLASSES))]
    joined = (_join_tight(run) if kind == _TIGHT else " ".join(fold(run).split()) for kind, run in runs)
    return " ".join(filter(None, joined))


def _join_tight(run: str) -> str:
    if _BARE.fullmatch(run):  # nothing to fold, so each pair stands there as it is
        return " ".join([*map("".join, pairwise(run)), run[-1]])
    return " ".join(token.word for token in _split_tight(run, 0, len(run)))


def parse_query(text: str) -> list[Phrase]:
    """What a person looks for: words, `"a phrase"`, `begin*`; all of them must be met."""
    found = []
    for quoted, bare in re.findall(r'"([^"]*)"?|([^\s"]+)', text):
        tokens = list(split_words(quoted or bare))
        if tokens and tokens[-1].tail:
            tokens.pop()  # the pair before it says the same, and also meets longer texts
        if tokens:
            prefix = bare.endswith("*") or tokens[-1].open
            found.append(Phrase(tuple(token.word for token in tokens), prefix))
    return found


def find_matches(text: str, phrases: list[Phrase]) -> list[tuple[int, int]]:
    """Where in the text the phrases stand: places from … to, in order, none touching another."""
    tokens = list(split_words(text))
    met = [place for phrase in phrases for place in _find(tokens, phrase)]
    merged: list[tuple[int, int]] = []
    for start, end in sorted(met):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def _find(tokens: list[Token], phrase: Phrase) -> Iterator[tuple[int, int]]:
    *firsts, last = phrase.words
    size = len(phrase.words)
    for at in range(len(tokens) - size + 1):
        here = tokens[at : at + size]
        final = here[-1].word
        if [token.word for token in here[:-1]] == firsts and (
            final.startswith(last) if phrase.prefix else final == last
        ):
            yield here[0].start, here[-1].end

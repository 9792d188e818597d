"""The documents as tests read them: README.md and syncd/docs, and the fenced blocks in them."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "syncd" / "docs"
PAGES = (ROOT / "README.md", *sorted(DOCS.glob("*.md")))

_BLOCK = re.compile(r"^( *)```(\w+)\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)


class Block(NamedTuple):
    """A fenced block: its page, the line that it begins at, its language, and its text."""

    page: str
    line: int
    language: str
    text: str


def find_blocks(language: str) -> Iterator[Block]:
    """Every block of the language, page by page."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for found in _BLOCK.finditer(text):
            if found[2] == language:
                yield Block(page.name, text.count("\n", 0, found.start()) + 1, language, found[3])


def read_queries() -> dict[str, str]:
    """Every query of a block of SQL by the comment above it, which names it."""
    queries = {}
    for block in find_blocks("sql"):
        for part in re.split(r"(?m)^-- ", block.text)[1:]:
            heading, _, query = part.partition("\n")
            assert heading not in queries, f"two queries are headed {heading}"
            queries[heading] = query.strip().removesuffix(";")
    return queries


def read_query(beginning: str) -> str:
    """The one query whose heading begins so."""
    (query,) = (query for heading, query in read_queries().items() if heading.startswith(beginning))
    return query


def read_recipe(beginning: str) -> str:
    """The one block of Python whose first line is a comment that begins so."""
    (block,) = (block for block in find_blocks("python") if block.text.startswith(f"# {beginning}"))
    return block.text

"""What a table, a view and a column are called, hold and mean, as the export, the target and the dictionary read it."""

from typing import Literal

from msgspec import Struct

Type = Literal["text", "integer", "real", "boolean", "time", "date", "json"]
"""What a column holds: `time` a UTC instant with milliseconds, `date` a local day, `json` the text of a JSON value."""


class Column(Struct, frozen=True, kw_only=True):
    """A column: `null` says what NULL means there, None that it is never NULL; `since` is the program's version.

    `scale`: between which values a number lies, or how it is to be read, where its unit does not say it.
    """

    name: str
    type: Type
    description: str
    null: str | None = None
    unit: str = ""
    scale: str = ""
    since: str = "0.1"

    @property
    def comment(self) -> str:
        """All that is known of the column, as one text."""
        parts = (
            self.description,
            self.unit and f"Unit: {self.unit}.",
            self.scale and f"Scale: {self.scale}.",
            "" if self.null is None else f"NULL: {self.null}.",
        )
        return " ".join(part for part in parts if part)


class Relation(Struct, frozen=True, kw_only=True):
    """A public table or view, or the deletions that an incremental export lists; `key` is what tells its rows apart."""

    name: str
    kind: Literal["table", "view", "deletions"]
    description: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    since: str = "0.1"

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(column.name for column in self.columns)


class Catalogue(Struct, frozen=True, kw_only=True):
    """Every public table and view; `version` is the number of the newest migration of the mirror."""

    version: int
    tables: tuple[Relation, ...]
    views: tuple[Relation, ...]

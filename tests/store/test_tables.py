import pytest
from sqlalchemy import Column

from syncd.store.tables import TableRow

COLUMNS = [
    column for table in TableRow.metadata.sorted_tables if not table.name.startswith("_") for column in table.columns
]


@pytest.mark.parametrize("column", COLUMNS, ids=str)
def test_each_column_says_what_it_holds(column: Column[object]) -> None:
    """A public column has a description of a sentence, and says what NULL means exactly where it may be NULL."""
    assert column.comment
    assert column.comment.endswith(".")
    assert (column.info["null"] is not None) == column.nullable


@pytest.mark.parametrize("column", [column for column in COLUMNS if column.name.endswith(("_at", "_since"))], ids=str)
def test_a_column_named_after_a_time_is_one(column: Column[object]) -> None:
    """What is called `_at` or `_since` is a time."""
    assert column.info["unit"] == "UTC time"

import pytest

from syncd.store.tables import ColumnDescription, TableRow, describe_columns

COLUMNS = list(describe_columns())


def name(column: ColumnDescription) -> str:
    """A test's name."""
    return f"{column.table}.{column.name}"


@pytest.mark.parametrize("column", COLUMNS, ids=name)
def test_each_column_says_what_it_holds(column: ColumnDescription) -> None:
    """A public column has a description of a sentence, and says what NULL means exactly where it may be NULL."""
    assert column.description.endswith(".")
    declared = TableRow.metadata.tables[column.table].columns[column.name]
    assert (column.null is not None) == declared.nullable


@pytest.mark.parametrize("column", [column for column in COLUMNS if column.name.endswith(("_at", "_since"))], ids=name)
def test_a_column_named_after_a_time_is_one(column: ColumnDescription) -> None:
    """What is called `_at` or `_since` is a time."""
    assert column.unit == "UTC time"

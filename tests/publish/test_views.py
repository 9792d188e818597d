"""The published views give what the mirror's own give, on rows that break naive SQL.

The tests of `tests/store/test_views_*` run here once more, with each of their questions put to both engines.
"""

from typing import Any

import pytest

from publish.pair import Pair
from store.conftest import Query
from store.test_views_history import *  # noqa: F403 - its tests
from store.test_views_inbox import *  # noqa: F403 - its tests
from store.test_views_waiting import *  # noqa: F403 - its tests


@pytest.fixture
def query(pair: Pair) -> Query:
    """Ask both, after every view of both was compared whole."""

    def fetch(sql: str) -> list[dict[str, Any]]:
        pair.copy()
        pair.compare_tables()
        pair.compare_views()
        return pair.ask(sql)

    return fetch

"""The only code that speaks HTTP."""

import sys
from typing import Any, cast

# httpx imports its command line with itself, and that every lexer's name, which takes as long as all of the rest; it
# does without where that can't be imported.
cast("dict[str, Any]", sys.modules).setdefault("httpx._main", None)

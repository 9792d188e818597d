"""Run somebody's command on an event."""

import json
import subprocess
from typing import Any

from syncd.errors import UsageError


def run_on(command: list[str], line: dict[str, Any]) -> str | None:
    """Give the event to the command on standard input; what went wrong in one line, or None.

    The command may leave its input unread. Raises UsageError when it can't be started at all.
    """
    try:
        process = subprocess.Popen(command, stdin=subprocess.PIPE)  # noqa: S603 - the user's own command
    except OSError as error:
        raise UsageError(f"{command[0]} can't be run: {error.strerror}") from error
    try:
        process.communicate((json.dumps(line, ensure_ascii=False) + "\n").encode(errors="surrogatepass"))
    except BaseException:
        process.terminate()
        process.wait()
        raise
    if process.returncode == 0:
        return None
    how = f"ended with {process.returncode}" if process.returncode > 0 else f"was ended by signal {-process.returncode}"
    return f"{command[0]} {how}"

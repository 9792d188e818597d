"""PostgreSQL's errors → one line that says what to do, and the exit code that goes with it."""

import psycopg

from syncd.errors import PublishError

_AWAY, _REFUSED, _FOREIGN = 69, 77, 78

_KNOWN = {
    "28000": (_REFUSED, "check the user of [publish] and its right to connect"),
    "28P01": (_REFUSED, "check the password of [publish]"),
    "3D000": (_FOREIGN, "create the database, or name another in the URL"),
    "42501": (_REFUSED, "GRANT CREATE on the database, or USAGE and CREATE on the schema, to the user of [publish]"),
    "42P01": (_FOREIGN, "its tables were changed by hand; drop the schema, and syncd publishes it anew"),
    "42703": (_FOREIGN, "its tables were changed by hand; drop the schema, and syncd publishes it anew"),
    "42P10": (_FOREIGN, "its tables were changed by hand; drop the schema, and syncd publishes it anew"),
    "25006": (_AWAY, "it only takes reads now; name the primary server in the URL, or wait until it takes writes"),
    "53100": (_AWAY, "free disk space there"),
    "53200": (_AWAY, "it is out of memory"),
    "53300": (_AWAY, "it has too many connections; raise max_connections there, or use a pooler"),
    "55P03": (_AWAY, "another session keeps the rows locked; end it, or wait"),
    "57014": (_AWAY, "it was too slow; see what keeps it busy"),
    "25P03": (_AWAY, "it was too slow; see what keeps it busy"),
    "57P01": (_AWAY, "it is stopping; start it again"),
    "57P02": (_AWAY, "it has crashed; see its log"),
    "57P03": (_AWAY, "it is starting or stopping; wait"),
}
_CLASSES = {"08": _AWAY, "40": _AWAY, "53": _AWAY, "57": _AWAY, "58": _AWAY, "28": _REFUSED}
_OF_VALUES = frozenset({"22", "23"})
"""Classes whose words may repeat a value, which may be somebody's message."""


def explain(error: psycopg.Error, target: str) -> PublishError:
    """What a statement came to that failed."""
    state = error.sqlstate or ""
    if error.sqlstate is None:
        return PublishError(f"the connection to {target} broke: {_words(error)}; check that it runs", exit_code=_AWAY)
    code, advice = _KNOWN.get(state, (_CLASSES.get(state[:2], 1), "see the server's log"))
    what = f"a value of {_place(error)} can't be stored" if state[:2] in _OF_VALUES else _words(error)
    return PublishError(f"{target}: {what} ({state}); {advice}", exit_code=code)


def explain_connecting(error: psycopg.Error, target: str) -> PublishError:
    """What a connection came to that could not be made; the server's codes do not come through here."""
    attempt = error.pgconn
    if attempt is not None and attempt.needs_password:
        ways = "password_env, _file, _command or _credential in [publish], PGPASSWORD or ~/.pgpass"
        return PublishError(f"{target} asks for a password; give it by {ways}", exit_code=_REFUSED)
    if attempt is not None and attempt.used_password:
        advice = "check user, password and database"
        return PublishError(f"{target} refuses: {_words(error)}; {advice}", exit_code=_REFUSED)
    return PublishError(f"{target} can't be reached: {_words(error)}; check that it runs, and the URL", exit_code=_AWAY)


def _place(error: psycopg.Error) -> str:
    names = (error.diag.table_name, error.diag.column_name)
    return ".".join(name for name in names if name) or "some table"


def _words(error: psycopg.Error) -> str:
    """The first line, without what the server adds about the statement and its values."""
    text = error.diag.message_primary or str(error)
    return text.strip().partition("\n")[0].rstrip(".;")

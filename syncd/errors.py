"""Every error: what happened, what to do, whether to retry, which exit code."""

import errno
import re

PASSING_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})
"""The system's errors that a disk gets over: full, read-only, ailing. What they hinder is a StoreTroubleError."""


_TOKEN = re.compile(r"ot_pat_[\w-]+")


class SyncdError(Exception):
    """Something a person can read and act on; `exit_code` is what a command ends with.

    Errors are printed, logged and stored: a token that was put where a name belongs is never a part of one.
    """

    exit_code = 1

    def __init__(self, text: str = "") -> None:
        super().__init__(_TOKEN.sub("ot_pat_***", text))


class UsageError(SyncdError):
    """The command's words don't fit together, or an id is held by several accounts."""

    exit_code = 2


class ConfigError(SyncdError):
    """The configuration can't be used; the text names every mistake."""

    exit_code = 78


class DatabaseError(SyncdError):
    """The database is newer, foreign, unreadable or held by another daemon."""

    exit_code = 78


class NoDatabaseError(SyncdError):
    """There is no database to read; the text names the places tried."""

    exit_code = 1


class StoreTroubleError(SyncdError):
    """The disk or the database refuses a write for now: full, read-only, locked or corrupt."""

    exit_code = 1


class FetchError(SyncdError):
    """A request that brought no usable answer.

    `reason` is the server's code or our own short word, `said` the server's own words ("" where it gave none),
    `request_id` the server's, `status` the HTTP status, each None where there is none.
    """

    exit_code = 69

    def __init__(
        self, message: str, *, reason: str, said: str = "", request_id: str | None = None, status: int | None = None
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.said = said
        self.request_id = request_id
        self.status = status


class UnreachableError(FetchError):
    """The server can't be reached, times out, or keeps answering 5xx."""


class ProtocolError(FetchError):
    """The answer is none that we understand: no JSON, or JSON of another shape."""


class AuthError(FetchError):
    """401: the token is missing, invalid, expired or revoked; the server does not say which."""

    exit_code = 77


class ForbiddenError(FetchError):
    """403: a missing scope, a feature that is off, or not a participant."""

    exit_code = 77


class NotFoundError(FetchError):
    """404: there is no such thing."""


class RejectedError(FetchError):
    """400, 409 and other 4xx: the server refuses this very request, or it can't be asked; a cursor may be dead."""


class RateLimitedError(FetchError):
    """429: nothing may be asked before `retry_after` seconds have passed."""

    exit_code = 75

    def __init__(self, message: str, *, retry_after: float, request_id: str | None = None) -> None:
        super().__init__(message, reason="RATE_LIMITED", request_id=request_id, status=429)
        self.retry_after = retry_after


class PublishError(SyncdError):
    """The PostgreSQL database can't be published to; `exit_code` says whether it is away, refuses us, or is another's.

    69 away, full, read-only or too slow · 77 it refuses the user · 78 its schema or an account is not ours to write.
    """

    def __init__(self, message: str, *, exit_code: int = 69) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class MissingExtraError(SyncdError):
    """A package that only some commands need is not installed; the text says what to type in a clone, or a wheel's."""

    def __init__(self, what: str, package: str, extra: str) -> None:
        super().__init__(
            f"{what} needs the package {package}; in a clone of syncd: pip install '.[{extra}]', with its wheel:"
            f" pip install 'syncd-VERSION-py3-none-any.whl[{extra}]'"
        )

"""The server's errors, in its own shape."""

from syncd.simulator.records import Json

_CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    409: "CONFLICT",
    429: "RATE_LIMITED",
}


class Problem(Exception):  # noqa: N818 - it is an answer, not a failure of this program
    """An answer that is no 2xx; `details` as the API would add them."""

    def __init__(self, status: int, text: str, *, details: Json | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.details = details

    def to_json(self, request_id: str) -> Json:
        """The error's body, always with a `requestId`."""
        body: Json = {
            "error": self.text,
            "code": _CODES.get(self.status, "INTERNAL_ERROR"),
            "requestId": request_id,
        }
        return body | {"details": self.details} if self.details is not None else body


def invalid(path: str, message: str, code: str = "custom") -> Problem:
    """400 with the validator's issue for one parameter."""
    issue = {"code": code, "path": [path], "message": message}
    return Problem(400, "Invalid request parameters", details={"issues": [issue]})


def missing(what: str) -> Problem:
    """404: no such thing."""
    return Problem(404, f"{what} not found")


def refused(reason: str, status: int = 403, **more: str) -> Problem:
    """403 or 409 with a machine-readable reason."""
    return Problem(status, reason.replace("_", " ").capitalize(), details={"reason": reason, **more})

"""What no document says about the server, as switches."""

from dataclasses import dataclass


@dataclass
class Quirks:
    """How this server turns out where the documents are silent; every field may change while it runs.

    `newer_without_cursor`: "oldest" or "newest" end of the thread. `page_order`: "oldest" or "newest" first, or "walk"
    (in the direction of the walk). `cursor_inclusive`: a page repeats its cursor's own message. `last_page_cursor`: a
    cursor even at the end of a thread. `cursor_lifetime_*`: after so many requests or seconds a cursor answers 400.
    `read_limit`, `write_limit`: requests a token may make in `read_window` seconds, then 429. `sent_visible_after`: a
    message that was sent is on no page for so many seconds. `filters_late`: pages are cut before what the viewer may
    not see is left out of them, so that some are short or empty and have a cursor. `page_cap`: the most that a page
    holds, whatever limit is asked for. `endless_lists`: each page of a list is the first one, with a cursor that was
    never there before.
    """

    newer_without_cursor: str = "oldest"
    page_order: str = "oldest"
    cursor_inclusive: bool = False
    last_page_cursor: bool = False
    list_last_page_cursor: bool = False
    cursor_lifetime_requests: int | None = None
    cursor_lifetime_seconds: float | None = None
    list_cursor: str = "keyset"
    updates_available: bool = True
    read_limit: int | None = None
    read_window: float = 60.0
    write_limit: int | None = None
    trims_content: bool = False
    sent_visible_after: float = 0.0
    writes_enabled: bool = True
    filters_late: bool = False
    page_cap: int | None = None
    endless_lists: bool = False

    def expires_cursors(self) -> bool:
        """Whether a cursor must carry its birth."""
        return self.cursor_lifetime_requests is not None or self.cursor_lifetime_seconds is not None

"""Text from the network, made safe for a terminal."""

import re

_BREAKS = re.compile("\r\n|[\n\r\v\f\x85\u2028\u2029]")
# Escape sequences go whole: without their first character the rest would be litter. First colours and the cursor's
# moves, then titles and other strings, then the short ones.
_ESCAPES = re.compile(
    "\x1b\\[[0-?]*[ -/]*[@-~]"
    "|\x1b[\\]PX^_][^\x07\x1b\n]{0,4096}(?:\x07|\x1b\\\\)"
    "|\x1b[ -/]*[0-~]"
)  # fmt: skip
# Controls, then what turns or walls off the direction of the text around it, byte order marks and annotations.
# Direction marks and joiners stay: Arabic, Persian and emoji need them, and they touch no more than their neighbours.
_UNSAFE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb]")
_HALVES = re.compile("[\ud800-\udfff]")
_JSON_UNSAFE = re.compile("[\x7f-\x9f\u2028-\u202e\u2066-\u206f\ufeff\ufff9-\ufffb\ud800-\udfff]")


def make_safe(text: str, *, newlines: bool = False) -> str:
    """Drop whatever could steer a terminal; a line break stays one with `newlines`, else it becomes a space.

    Escape sequences, control characters, and overrides, embeddings and isolates of the writing direction go; letters
    of every script and emoji stay.
    """
    if text.isascii() and text.isprintable():
        return text
    spaced = text.replace("\t", "    " if newlines else " ")
    broken = _BREAKS.sub("\n" if newlines else " ", _ESCAPES.sub("", spaced))
    return _HALVES.sub("\ufffd", _UNSAFE.sub("", broken))


def escape_json(text: str) -> str:
    r"""Write the characters of a JSON text that could steer a terminal as `\uXXXX`, which reads back as the same."""
    return _JSON_UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)

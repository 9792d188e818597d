"""Where the target is, as people name it, and who brings it up to date; imports nothing heavy."""

from pathlib import Path


def name_target(url: str, schema: str) -> str:
    """What a target is called in messages, in `status` and in the mirror: its URL, which holds no password."""
    return url if schema == "syncd" else f"{url} (schema {schema})"


def follow_words(config: Path | None, database: Path) -> list[str]:
    """The command line that keeps the target of this configuration up to date until its standard input ends."""
    named = [] if config is None else ["--config", str(config)]
    return [*named, "--db", str(database), "publish", "--follow", "--until-eof"]

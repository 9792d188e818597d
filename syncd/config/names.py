"""Accounts as people name them."""

from collections.abc import Collection, Iterable

from syncd.errors import UsageError


def check_names(names: Iterable[str], known: Collection[str]) -> None:
    """Raise UsageError for names that are no account's, naming those that are."""
    unknown = sorted(set(names) - set(known))
    if unknown:
        raise UsageError(f"no account is named {', '.join(unknown)}; configured are {', '.join(known)}")

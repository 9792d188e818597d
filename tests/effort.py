"""How much is tried: a usual run has minutes, a whole one (`--whole`) has time."""

from hypothesis import settings

_USUAL = 100


def examples(usual: int) -> int:
    """So many examples in a usual run, ten times as many in a whole one."""
    return usual * settings().max_examples // _USUAL


def shrinks() -> bool:
    """Whether a failing story is to be cut short, which takes minutes."""
    return settings().max_examples > _USUAL

"""The telling line of an exception that Ray has wrapped in many."""

from __future__ import annotations

from collections.abc import Iterator


def first_line(error: BaseException) -> str:
    """The first line of its text; its class where there is none."""
    return next(_lines(error), type(error).__name__)


def last_line(error: BaseException) -> str:
    """The last line of its text, where Ray puts the cause; its class where there is none."""
    lines = list(_lines(error))
    return lines[-1] if lines else type(error).__name__


def _lines(error: BaseException) -> Iterator[str]:
    return (line.strip() for line in str(error).splitlines() if line.strip())

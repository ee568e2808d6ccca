"""Reads texts that a newer program may have written."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from runner.codec import DecodeError
from runner.errors import StorageError

T = TypeVar("T")


def decoded(decode: Callable[[str], T], text: str) -> T:
    """Raises StorageError for what this program does not understand."""
    try:
        return decode(text)
    except DecodeError as error:
        raise not_understood(str(error)) from error


def not_understood(problem: str) -> StorageError:
    return StorageError(f"the table holds what this program cannot read ({problem}); use a newer one")

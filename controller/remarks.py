"""Where the supervisor's own log goes while it runs inside a command or a program: warnings, to people."""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any, NoReturn

WARNING = 30


@contextmanager
def warnings_to(emit: Callable[[str], object]) -> Iterator[None]:
    """Meanwhile `emit` gets each warning as one line of text, and nothing is printed.

    A program that has set up structlog for itself keeps that.
    """
    import structlog  # as dear as all the rest of a command that does not wait

    if structlog.is_configured():
        yield
        return

    def pass_on(_logger: object, _method: str, event: MutableMapping[str, Any]) -> NoReturn:
        what = event.pop("event")
        details = ", ".join(f"{key}: {value}" for key, value in event.items())
        emit(f"{what} ({details})" if details else str(what))
        raise structlog.DropEvent

    structlog.configure(
        processors=[pass_on],
        wrapper_class=structlog.make_filtering_bound_logger(WARNING),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.reset_defaults()

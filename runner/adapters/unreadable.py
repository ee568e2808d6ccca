"""What a newer program stored keeps nothing else from being listed: it is left out, and that is said."""

from __future__ import annotations

from functools import lru_cache


@lru_cache(maxsize=1000)  # once, for lists are read again and again
def leave_out(kind: str, name: str, reason: str) -> None:
    import structlog  # here, for it is seldom needed and would slow down every command that reads

    structlog.get_logger().warning(
        "left out of a list, as it cannot be read", kind=kind, id=name, reason=reason
    )

"""What the work is, and how many machines it deserves. Depends on `runner`, never the reverse.

`from controller import submit, job, Job`: the Python API, described in docs/api.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from controller.api import Job, JobFailed, job, submit

__all__ = ["Job", "JobFailed", "job", "submit"]


def __getattr__(name: str) -> object:
    # Only when asked for: whoever imports a module of this package must not pay for all of it.
    if name in __all__:
        from controller import api

        return getattr(api, name)
    message = f"module {__name__!r} has no attribute {name!r}"
    raise AttributeError(message)

"""Whether there is nothing left to do in the whole installation: never believed of one reading."""

from __future__ import annotations


class Emptiness:
    """Readings of the published demand. Only empty ones in a row count, the first and the last more than `confirm`
    seconds apart: a count that is stale, or was made in the moment between two messages, must not end a machine."""

    def __init__(self, confirm: float) -> None:
        self._confirm = confirm
        self._since: float | None = None
        self._last = 0.0

    def read(self, demand: int | None, at: float) -> None:
        """`demand` None: nobody knows, which is as good as some. `at`: the loop's time."""
        if demand != 0:
            self._since = None
            return
        self._last = at
        if self._since is None:
            self._since = at

    @property
    def lasting(self) -> bool:
        """With `confirm` 0 one empty reading is enough."""
        if self._since is None:
            return False
        return self._confirm == 0 or self._last - self._since > self._confirm

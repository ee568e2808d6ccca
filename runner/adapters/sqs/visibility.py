"""How long a message may be hidden: 12 hours in total from its receive. More is refused, not trimmed."""

from __future__ import annotations

import math

LONGEST = 43200

# Seconds kept back from the 12 hours, as the service's clock and ours are two.
MARGIN = 30.0


def whole_seconds(seconds: float) -> int:
    """Rounded up, so that nothing shows before its time."""
    return max(0, min(LONGEST, math.ceil(seconds)))


def still_allowed(seconds: float, age: float) -> int:
    """Of `seconds`, what may still be asked for a message received `age` seconds ago; 0: nothing any more."""
    return max(0, min(whole_seconds(seconds), math.floor(LONGEST - MARGIN - age)))

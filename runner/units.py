"""Durations (seconds) and sizes (bytes) as people write them: `1h30m`, `500ms`, `512MiB`, `1.5GB`."""

from __future__ import annotations

import re
from fractions import Fraction

from runner.errors import BadInput
from runner.wording import shown

# Without a unit nobody knows whether 010 is ten or, as old YAML has it, eight.
PLAIN = re.compile(r"(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,15})?")
WHOLE = re.compile(r"0|[1-9][0-9]{0,17}")
NUMBER = r"[0-9]{1,15}(?:\.[0-9]{1,15})?"
DURATION = re.compile("".join(rf"(?:(?P<{unit}>{NUMBER}){unit})?" for unit in ("d", "h", "m", "s", "ms")))
SECONDS = {
    "d": Fraction(86400),
    "h": Fraction(3600),
    "m": Fraction(60),
    "s": Fraction(1),
    "ms": Fraction(1, 1000),
}

PREFIXES = "KMGTP"
SIZE = re.compile(rf"({NUMBER})([A-Za-z]+)")
BYTES = {
    "B": 1,
    **{f"{prefix}B": 1000**power for power, prefix in enumerate(PREFIXES, start=1)},
    **{f"{prefix}iB": 1024**power for power, prefix in enumerate(PREFIXES, start=1)},
}
UNITS = {unit.lower(): factor for unit, factor in BYTES.items()}

DURATION_HELP = "a duration is written like 90s, 10m, 2h, 1d, 500ms or 1h30m; a plain number is seconds"
SIZE_HELP = "a size is written like 512MiB, 4GiB or 1GB; a plain number is bytes"
LONGEST = 60  # characters
LARGEST = 1e15  # seconds


def parse_duration(value: object) -> float:
    """Seconds, not negative and finite. Units stand in falling order, each once. Raises BadInput."""
    if isinstance(value, str):
        text = value[: LONGEST + 1]
        if PLAIN.fullmatch(text):
            return float(text)
        found = DURATION.fullmatch(text)
        if found and text:
            return float(sum(Fraction(n) * SECONDS[unit] for unit, n in found.groupdict().items() if n))
    elif isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < LARGEST:
        return float(value)
    problem = f"{shown(value)} is not a duration; {DURATION_HELP}"
    raise BadInput(problem)


def parse_size(value: object) -> int:
    """Whole bytes, not negative; a fraction of a byte is cut off. Raises BadInput."""
    if isinstance(value, str):
        text = value[: LONGEST + 1]
        if WHOLE.fullmatch(text):
            return int(text)
        found = SIZE.fullmatch(text)
        if found and found[2].lower() in UNITS:
            return int(Fraction(found[1]) * UNITS[found[2].lower()])
        if found and re.fullmatch(f"[{PREFIXES}]i?", found[2], re.IGNORECASE):
            raise BadInput(_ambiguous(text, found[1], found[2][0].upper()))
    elif isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    problem = f"{shown(value)} is not a size; {SIZE_HELP}"
    raise BadInput(problem)


def format_duration(seconds: float) -> str:
    """For people, and read back by `parse_duration`.

    Exact for whole seconds, and for whole milliseconds below one second; otherwise to the hundredth
    of a second below a minute and to the second above.
    """
    if seconds < 0:
        return f"-{format_duration(-seconds)}"
    milliseconds = round(seconds * 1000)
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    if round(seconds, 2) < 60:
        return f"{_trimmed(seconds, 2)}s"
    rest = round(seconds)
    parts = []
    for unit in ("d", "h", "m", "s"):
        count, rest = divmod(rest, int(SECONDS[unit]))
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts)


def format_size(size: int) -> str:
    """For people, and read back by `parse_size`: exact below 1,024 whole units, else to a tenth of one."""
    if size < 0:
        return f"-{format_size(-size)}"
    power = 0
    while power < len(PREFIXES) and round(size / 1024**power, 1) >= 1024:
        power += 1
    unit = f"{PREFIXES[power - 1]}iB" if power else "B"
    return f"{_trimmed(size / 1024**power, 1)}{unit}"


def _ambiguous(text: str, number: str, prefix: str) -> str:
    return f"{shown(text)} could mean {number}{prefix}iB or {number}{prefix}B; write one of them"


def _trimmed(number: float, places: int) -> str:
    return f"{number:.{places}f}".rstrip("0").rstrip(".")

"""Expressions as trees. Placeholders of names are resolved, those of values are not: they differ from call to call."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Path:
    """An attribute, and where in its lists and maps."""

    parts: tuple[str | int, ...]

    def __str__(self) -> str:
        return "[" + ", ".join(f"[{part}]" if isinstance(part, int) else part for part in self.parts) + "]"

    @property
    def attribute(self) -> str:
        return str(self.parts[0])


@dataclass(frozen=True, slots=True)
class Given:
    """One of the values that come with the expression."""

    name: str


@dataclass(frozen=True, slots=True)
class Size:
    path: Path


Operand = Path | Given | Size


@dataclass(frozen=True, slots=True)
class Comparison:
    operator: str
    left: Operand
    right: Operand


@dataclass(frozen=True, slots=True)
class Between:
    operand: Operand
    low: Operand
    high: Operand


@dataclass(frozen=True, slots=True)
class Among:
    operand: Operand
    choices: tuple[Operand, ...]


@dataclass(frozen=True, slots=True)
class Check:
    """One of the functions that are true or false."""

    function: str
    path: Path
    argument: Operand | None = None


@dataclass(frozen=True, slots=True)
class Negation:
    condition: Condition


@dataclass(frozen=True, slots=True)
class Conjunction:
    left: Condition
    right: Condition


@dataclass(frozen=True, slots=True)
class Disjunction:
    left: Condition
    right: Condition


Condition = Comparison | Between | Among | Check | Negation | Conjunction | Disjunction


@dataclass(frozen=True, slots=True)
class IfNotExists:
    path: Path
    otherwise: Term


@dataclass(frozen=True, slots=True)
class ListAppend:
    first: Term
    second: Term


@dataclass(frozen=True, slots=True)
class Sum:
    left: Term
    right: Term
    minus: bool


Term = Path | Given | IfNotExists | ListAppend | Sum


@dataclass(frozen=True, slots=True)
class Update:
    sets: tuple[tuple[Path, Term], ...] = ()
    removes: tuple[Path, ...] = ()
    adds: tuple[tuple[Path, Given], ...] = ()
    deletes: tuple[tuple[Path, Given], ...] = ()

    @property
    def paths(self) -> tuple[Path, ...]:
        return (
            *(p for p, _ in self.sets),
            *self.removes,
            *(p for p, _ in self.adds),
            *(p for p, _ in self.deletes),
        )

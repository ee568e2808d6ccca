"""The kinds of fields that job files and settings are made of, as pydantic types that refuse in our words."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from typing import LiteralString, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainValidator
from pydantic_core import PydanticCustomError

from runner.errors import BadInput
from runner.units import format_duration, format_size, parse_duration, parse_size
from runner.wording import Loc, choices, kind_of, shown
from runner.yaml_reader import SourceFloat

T = TypeVar("T")
N = TypeVar("N", int, float)
Parse = Callable[[object], T]

REFUSED: LiteralString = "refused"
WHOLE = re.compile(r"0|-?[1-9][0-9]{0,17}")
NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,30})?")


class Section(BaseModel):
    """A mapping of known keys. Nothing is converted silently, and no value is kept in an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)

    def problems(self) -> Iterator[tuple[Loc, str]]:
        """What is wrong between keys that are each right: where, and what."""
        return iter(())


def checked(parse: Parse[T]) -> PlainValidator:
    """The whole check of one value. `parse` raises BadInput."""
    return PlainValidator(_refusing(parse))


def shorthand(parse: Parse[object]) -> BeforeValidator:
    """Turns a short way of writing into the long one, before that is checked. `parse` raises BadInput."""
    return BeforeValidator(_refusing(parse))


def _refusing(parse: Parse[T]) -> Parse[T]:
    def refusing(value: object) -> T:
        try:
            return parse(value)
        except BadInput as error:
            raise PydanticCustomError(REFUSED, "{problem}", {"problem": error.problem}) from None

    return refusing


def duration(low: float, high: float) -> Parse[float]:
    bounds = f"{format_duration(low)} to {format_duration(high)}"

    def parse(value: object) -> float:
        return _within(parse_duration(value), low, high, bounds, value)

    return parse


def size(low: int, high: int) -> Parse[int]:
    bounds = f"{format_size(low)} to {format_size(high)}"

    def parse(value: object) -> int:
        return _within(parse_size(value), low, high, bounds, value)

    return parse


def whole(low: int, high: int) -> Parse[int]:
    def parse(value: object) -> int:
        if isinstance(value, str) and WHOLE.fullmatch(value):
            value = int(value)  # flags are text
        if not isinstance(value, int) or isinstance(value, bool):
            problem = f"must be a whole number, not {shown(value)}"
            raise BadInput(problem)
        return _within(value, low, high, f"{low} to {high}", value)

    return parse


def number(low: float, high: float) -> Parse[float]:
    def parse(value: object) -> float:
        if isinstance(value, str) and NUMBER.fullmatch(value):
            value = float(value)  # flags are text
        if not isinstance(value, int | float) or isinstance(value, bool):
            problem = f"must be a number, not {shown(value)}"
            raise BadInput(problem)
        return float(_within(value, low, high, f"{low:g} to {high:g}", value))

    return parse


def flag(value: object) -> bool:
    if not isinstance(value, bool):
        problem = f"must be true or false, not {shown(value)}"
        raise BadInput(problem)
    return value


def text(most: int, pattern: str = "(?s).+", allowed: str = "not empty") -> Parse[str]:
    """Text of at most `most` characters that matches; `allowed` says the pattern in words."""
    compiled = re.compile(pattern)

    def parse(value: object) -> str:
        plain = as_text(value)
        if len(plain) > most:
            problem = f"{len(plain):,} characters; at most {most:,}"
            raise BadInput(problem)
        if not compiled.fullmatch(plain):
            problem = f"{shown(plain)} is not allowed here; allowed: {allowed}"
            raise BadInput(problem)
        return plain

    return parse


def one_of(words: Collection[str]) -> Parse[str]:
    def parse(value: object) -> str:
        if not isinstance(value, str) or value not in words:
            problem = f"unknown value {shown(value)}; {choices(str(value), words)}"
            raise BadInput(problem)
        return value

    return parse


def listed(parse: Parse[T], least: int, most: int) -> Parse[list[T]]:
    """A list of `least` to `most` different entries, each as `parse` has it."""

    def each(value: object) -> list[T]:
        if not isinstance(value, list):
            problem = f"must be a list, not {kind_of(value)}"
            raise BadInput(problem)
        if not least <= len(value) <= most:
            problem = f"{least} to {most} entries, not {len(value)}"
            raise BadInput(problem)
        found = [parse(entry) for entry in value]
        if twice := next((entry for at, entry in enumerate(found) if entry in found[:at]), None):
            problem = f"{shown(twice)} stands twice"
            raise BadInput(problem)
        return found

    return each


def as_text(value: object) -> str:
    """Text as it was written, numbers too; never shown in the refusal, for it may be secret."""
    if isinstance(value, SourceFloat):
        value = value.text
    elif isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**18:
        value = str(value)
    if not isinstance(value, str):
        problem = f"must be text, not {kind_of(value)}; put it in quotes if text is meant"
        raise BadInput(problem)
    if "\0" in value or not _encodable(value):
        problem = "must not contain a NUL character or half a surrogate pair"
        raise BadInput(problem)
    return value


def _encodable(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _within(value: N, low: float, high: float, bounds: str, given: object) -> N:
    if low <= value <= high:
        return value
    problem = f"{shown(given)} is out of bounds; allowed: {bounds}"
    raise BadInput(problem)

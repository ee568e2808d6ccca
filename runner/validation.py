"""Outside data through a pydantic model; every problem told at once, each with its place, in one BadInput."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Annotated, Any, TypeGuard, TypeVar, Union, get_args, get_origin

from pydantic import ValidationError

from runner.errors import BadInput, Place
from runner.schema import Section
from runner.wording import Loc, choices, kind_of

Model = TypeVar("Model", bound=Section)
Problem = tuple[Loc, str]

MOST_PROBLEMS = 20
MISSING = "missing"
KEY = "[key]"  # how pydantic says that it means the key, not the value
EXPECTED = {
    "list_type": "a list",
    "dict_type": "a mapping of keys to values",
    "mapping_type": "a mapping of keys to values",
    "model_type": "a mapping of keys to values",
}


def validated(model: type[Model], data: Mapping[str, object], place: Callable[[Loc], Place]) -> Model:
    """`data` as the model has it. Raises one BadInput that lists every problem, each with its `place`."""
    try:
        value = model.model_validate(data)
    except ValidationError as error:
        problems = [_problem(model, data, dict(entry)) for entry in error.errors(include_url=False)]
    else:
        problems = [(existing(data, loc), problem) for loc, problem in value.problems()]
        if not problems:
            return value
    # Raised outside the handler: a chained ValidationError would carry the input, and so perhaps a secret.
    raise refusal(problems, place)


def refusal(problems: Sequence[Problem], place: Callable[[Loc], Place]) -> BadInput:
    """One error for all: one line each, in the order in which they stand in the file."""
    placed = [(place(loc), problem) for loc, problem in problems]
    # Of one line, what is missing comes last: most often it is there, misspelt.
    placed.sort(key=lambda entry: (entry[0].line or 0, entry[1] == MISSING))
    first, problem = placed[0]
    lines = [problem, *(str(BadInput(problem, where)) for where, problem in placed[1:MOST_PROBLEMS])]
    if len(placed) > MOST_PROBLEMS:
        lines.append(f"… and {len(placed) - MOST_PROBLEMS} more problems")
    return BadInput("\n".join(lines), first)


def _problem(model: type[Section], data: object, entry: Mapping[str, Any]) -> Problem:
    loc: Loc = entry["loc"]
    if entry["type"] == "extra_forbidden":
        return loc, f"unknown key; {choices(str(loc[-1]), allowed_keys(model, loc[:-1]))}"
    if entry["type"] == "missing":
        return loc, MISSING
    if loc and loc[-1] == KEY:
        loc = loc[:-1]
    if entry["type"] in EXPECTED:
        return existing(data, loc), f"must be {EXPECTED[entry['type']]}, not {kind_of(entry['input'])}"
    if entry["type"] == "too_long":
        return existing(data, loc), f"more than {entry['ctx']['max_length']} entries"
    return existing(data, loc), entry["msg"]


def existing(data: object, loc: Loc) -> Loc:
    """`loc` as far as it could be written: a short way of writing has none of the keys it stands for."""
    container: Any = data
    for depth, part in enumerate(loc):
        written_so = isinstance(container, list if isinstance(part, int) else dict)
        if not written_so:
            return loc[:depth]
        try:
            container = container[part]
        except LookupError:
            return loc[: depth + 1]
    return loc


def allowed_keys(model: type[Section], loc: Loc) -> list[str]:
    """The keys of the section at `loc`."""
    annotation: object = model
    for part in loc:
        annotation = _inner(_bare(annotation), part)
    section = _bare(annotation)
    return list(section.model_fields) if _is_section(section) else []


def _inner(annotation: object, part: str | int) -> object:
    if _is_section(annotation):
        field = annotation.model_fields.get(str(part))
        return field.annotation if field else None
    return get_args(annotation)[-1] if get_args(annotation) else None


def _bare(annotation: object) -> object:
    """Without `Annotated` and `| None` around it."""
    while get_origin(annotation) in (Annotated, Union, UnionType):
        annotation = next(argument for argument in get_args(annotation) if argument is not NoneType)
    return annotation


def _is_section(annotation: object) -> TypeGuard[type[Section]]:
    return isinstance(annotation, type) and issubclass(annotation, Section)

"""Updates, by the grammar that the Developer Guide gives."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from controller.simulation.services.dynamodb.parser import given, path, separated
from controller.simulation.services.dynamodb.syntax import (
    Given,
    IfNotExists,
    ListAppend,
    Path,
    Sum,
    Term,
    Update,
)
from controller.simulation.services.dynamodb.tokens import Tokens


def update(tokens: Tokens) -> Update:
    clauses: dict[str, Any] = {}
    while word := tokens.next().upper():
        if word not in _CLAUSES:
            raise tokens.unexpected()
        name, one = _CLAUSES[word]
        if name in clauses:
            raise tokens.refuse(f'The "{word}" section can only be used once in an update expression;')
        clauses[name] = separated(tokens, one)
    parsed = Update(**clauses)
    _check_apart(tokens, parsed)
    return parsed


def _check_apart(tokens: Tokens, parsed: Update) -> None:
    for one, other in combinations(parsed.paths, 2):
        shared = min(len(one.parts), len(other.parts))
        if one.parts[:shared] == other.parts[:shared]:
            problem = (
                "Two document paths overlap with each other; must remove or rewrite one of these paths; "
            )
            raise tokens.refuse(f"{problem}path one: {one}, path two: {other}")


def _set(tokens: Tokens) -> tuple[Path, Term]:
    target = path(tokens)
    tokens.expect("=")
    left = _term(tokens)
    if tokens.skip("+"):
        return target, Sum(left, _term(tokens), minus=False)
    if tokens.skip("-"):
        return target, Sum(left, _term(tokens), minus=True)
    return target, left


def _term(tokens: Tokens) -> Term:
    if tokens.peek(1) != "(":
        return given(tokens) if tokens.peek().startswith(":") else path(tokens)
    function = tokens.next()
    tokens.expect("(")
    term: Term
    if function == "if_not_exists":
        known = path(tokens)
        tokens.expect(",")
        term = IfNotExists(known, _term(tokens))
    elif function == "list_append":
        first = _term(tokens)
        tokens.expect(",")
        term = ListAppend(first, _term(tokens))
    else:
        raise tokens.refuse(f"Invalid function name; function: {function}")
    tokens.expect(")")
    return term


def _pair(tokens: Tokens) -> tuple[Path, Given]:
    return path(tokens), given(tokens)


_CLAUSES: dict[str, Any] = {
    "SET": ("sets", _set),
    "REMOVE": ("removes", path),
    "ADD": ("adds", _pair),
    "DELETE": ("deletes", _pair),
}

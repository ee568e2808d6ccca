"""Conditions, by the grammar that the Developer Guide gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from controller.simulation.services.dynamodb.syntax import (
    Among,
    Between,
    Check,
    Comparison,
    Condition,
    Conjunction,
    Disjunction,
    Given,
    Negation,
    Operand,
    Path,
    Size,
)
from controller.simulation.services.dynamodb.tokens import Tokens

T = TypeVar("T")

COMPARATORS = frozenset({"=", "<>", "<", "<=", ">", ">="})
UNARY = frozenset({"attribute_exists", "attribute_not_exists"})
BINARY = frozenset({"attribute_type", "begins_with", "contains"})
MOST_CHOICES = 100


def condition(tokens: Tokens) -> Condition:
    parsed = _any(tokens)
    tokens.end()
    return parsed


def _any(tokens: Tokens) -> Condition:
    parsed = _all(tokens)
    while tokens.skip("OR"):
        parsed = Disjunction(parsed, _all(tokens))
    return parsed


def _all(tokens: Tokens) -> Condition:
    parsed = _not(tokens)
    while tokens.skip("AND"):
        parsed = Conjunction(parsed, _not(tokens))
    return parsed


def _not(tokens: Tokens) -> Condition:
    return Negation(_not(tokens)) if tokens.skip("NOT") else _single(tokens)


def _single(tokens: Tokens) -> Condition:
    if tokens.skip("("):
        parsed = _any(tokens)
        tokens.expect(")")
        return parsed
    if tokens.peek(1) == "(" and tokens.peek() != "size":
        return _check(tokens)
    operand = _operand(tokens)
    if tokens.skip("BETWEEN"):
        low = _operand(tokens)
        tokens.expect("AND")
        return Between(operand, low, _operand(tokens))
    if tokens.skip("IN"):
        return Among(operand, _choices(tokens))
    if tokens.peek() not in COMPARATORS:
        raise tokens.unexpected()
    return Comparison(tokens.next(), operand, _operand(tokens))


def _check(tokens: Tokens) -> Check:
    function = tokens.next()
    if function not in UNARY | BINARY:
        raise tokens.refuse(f"Invalid function name; function: {function}")
    tokens.expect("(")
    checked = path(tokens)
    argument = None
    if function in BINARY:
        tokens.expect(",")
        argument = _operand(tokens)
    tokens.expect(")")
    return Check(function, checked, argument)


def _choices(tokens: Tokens) -> tuple[Operand, ...]:
    tokens.expect("(")
    choices = separated(tokens, _operand)
    tokens.expect(")")
    if len(choices) > MOST_CHOICES:
        raise tokens.refuse(
            f"The IN operator is provided with too many operands; number of operands: {len(choices)}"
        )
    return choices


def _operand(tokens: Tokens) -> Operand:
    if tokens.peek() == "size" and tokens.peek(1) == "(":
        tokens.next()
        tokens.expect("(")
        measured = path(tokens)
        tokens.expect(")")
        return Size(measured)
    return given(tokens) if tokens.peek().startswith(":") else path(tokens)


def given(tokens: Tokens) -> Given:
    if not tokens.peek().startswith(":"):
        raise tokens.unexpected()
    return Given(tokens.value())


def path(tokens: Tokens) -> Path:
    parts: list[str | int] = [tokens.attribute()]
    while True:
        if tokens.skip("."):
            parts.append(tokens.attribute())
        elif tokens.skip("["):
            if not tokens.peek().isdecimal():
                raise tokens.unexpected()
            parts.append(int(tokens.next()))
            tokens.expect("]")
        else:
            return Path(tuple(parts))


def separated(tokens: Tokens, one: Callable[[Tokens], T]) -> tuple[T, ...]:
    found = [one(tokens)]
    while tokens.skip(","):
        found.append(one(tokens))
    return tuple(found)

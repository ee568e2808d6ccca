"""Requests as this project sends them and some beyond, about few enough items that they meet each other."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from hypothesis import strategies as st

TABLE = "a-table"
LOT = "batch_execute_statement"


class Request(NamedTuple):
    operation: str
    parameters: Mapping[str, Any]


class Piece(NamedTuple):
    """A part of an expression. Each `?` in the text stands for the next of the values."""

    text: str
    values: tuple[Any, ...] = ()

    @classmethod
    def of(cls, pattern: str, *pieces: Piece) -> Piece:
        """`pattern` with a pair of braces for each piece."""
        values = tuple(value for piece in pieces for value in piece.values)
        return cls(pattern.format(*(piece.text for piece in pieces)), values)


def expressed(pieces: Mapping[str, Piece]) -> dict[str, Any]:
    """Parameters of a request: the expressions by their kinds, and what their placeholders stand for."""
    given: dict[str, Any] = {}
    values: dict[str, Any] = {}
    for kind, piece in pieces.items():
        text, *rest = piece.text.split("?")
        for value, following in zip(piece.values, rest, strict=True):
            name = f":v{len(values)}"
            values[name] = value
            text += name + following
        given[kind] = text
    names = sorted({name for text in given.values() for name in re.findall(r"#(\w+)", text)})
    if names:
        given["ExpressionAttributeNames"] = {f"#{name}": name for name in names}
    if values:
        given["ExpressionAttributeValues"] = values
    return given


PKS, SKS = st.sampled_from(["T#1", "T#2"]), st.sampled_from(["1", "2", "21", "3"])
KEYS = st.builds(lambda pk, sk: {"pk": {"S": pk}, "sk": {"S": sk}}, PKS, SKS)

STRINGS = st.sampled_from(["", "a", "ab", "b", "é", "\U0001f600", 2000 * "a"]).map(lambda text: {"S": text})
# Spelled as the service spells them: the emulator leaves the others as they are where they stand in lists and maps.
NUMBERS = st.sampled_from(["0", "1", "-1", "2.5", "100", "1700000000.25"]).map(lambda text: {"N": text})
SIMPLE = STRINGS | NUMBERS | st.booleans().map(lambda flag: {"BOOL": flag})
MAPS = st.dictionaries(st.sampled_from(["k", "l"]), SIMPLE, max_size=2).map(lambda each: {"M": each})
LISTS = st.lists(SIMPLE, max_size=2).map(lambda each: {"L": each})
VALUES = SIMPLE | MAPS | LISTS

# What each attribute usually holds, so that comparisons often are between values of one type.
ATTRIBUTES: Mapping[str, st.SearchStrategy[Any]] = {
    "s": STRINGS,
    "n": NUMBERS,
    "m": MAPS,
    "l": LISTS,
    "x": VALUES,
}
NAMES = st.sampled_from(sorted(ATTRIBUTES))
ITEMS = st.builds(
    lambda key, rest: {**key, **rest},
    KEYS,
    st.fixed_dictionaries({}, optional=dict(ATTRIBUTES)),
)


def value(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Piece]:
    return strategy.map(lambda wire: Piece("?", (wire,)))


def path(name: str) -> Piece:
    return Piece(f"#{name}")


PATHS = st.sampled_from(["s", "n", "x", "m.#k", "l[0]", "l[1]", "pk"]).map(path)


def _one(name: str) -> st.SearchStrategy[Piece]:
    """Something about one attribute."""
    kept = value(ATTRIBUTES[name])
    simple: list[st.SearchStrategy[Piece]] = [
        st.just(Piece(f"attribute_exists(#{name})")),
        st.just(Piece(f"attribute_not_exists(#{name})")),
        st.builds(lambda sign, v: Piece.of(f"#{name} {sign} {{}}", v), st.sampled_from(["=", "<>"]), kept),
        st.builds(lambda a, b: Piece.of(f"#{name} IN ({{}}, {{}})", a, b), kept, kept),
    ]
    if name in ("s", "n"):
        signs = st.sampled_from(["<", "<=", ">", ">="])
        simple += [
            st.builds(lambda sign, v: Piece.of(f"#{name} {sign} {{}}", v), signs, kept),
            st.builds(lambda low: Piece.of(f"#{name} BETWEEN {{}} AND {{}}", low, low), kept),
        ]
    if name == "s":
        simple += [
            st.builds(lambda v: Piece.of("begins_with(#s, {})", v), kept),
            st.builds(lambda v: Piece.of("contains(#s, {})", v), kept),
        ]
    return st.one_of(simple)


SINGLE = st.one_of(
    *(_one(name) for name in ATTRIBUTES),
    st.builds(lambda v: Piece.of("contains(#l, {})", v), value(SIMPLE)),
    st.builds(
        lambda name, kind: Piece(f"attribute_type(#{name}, ?)", ({"S": kind},)),
        NAMES,
        st.sampled_from(["S", "N", "M", "L", "BOOL"]),
    ),
    st.builds(
        lambda name, n: Piece(f"size(#{name}) > ?", ({"N": str(n)},)),
        st.sampled_from(["s", "m", "l"]),
        st.integers(0, 2),
    ),
    st.builds(lambda where, v: Piece.of("{} = {}", where, v), PATHS, value(SIMPLE)),
    # If both are missing they are not equal, as others have measured; the emulator thinks that they are.
    st.builds(
        lambda sign: Piece(f"(attribute_exists(#x) AND #s {sign} #x)"), st.sampled_from(["=", "<>", "<"])
    ),
)
TWO = Piece("begins_with(#sk, ?)", ({"S": "2"},))
CONDITIONS = st.recursive(
    SINGLE,
    lambda inner: st.one_of(
        st.builds(lambda a, b: Piece.of("{} AND {}", a, b), inner, inner),
        st.builds(lambda a, b: Piece.of("{} OR {}", a, b), inner, inner),
        st.builds(lambda a: Piece.of("NOT {}", a), inner),
        st.builds(lambda a, b: Piece.of("({} OR {}) AND NOT {}", a, b, TWO), inner, inner),
    ),
    max_leaves=4,
)

_NUMBER = value(NUMBERS)
TERMS: Mapping[str, st.SearchStrategy[Piece]] = {
    **{name: value(kept) for name, kept in ATTRIBUTES.items()},
    "n": st.one_of(
        _NUMBER,
        st.builds(lambda v: Piece.of("#n + {}", v), _NUMBER),
        st.builds(lambda v: Piece.of("#n - {}", v), _NUMBER),
        st.builds(lambda a, b: Piece.of("if_not_exists(#n, {}) + {}", a, b), _NUMBER, _NUMBER),
    ),
    "l": st.one_of(
        value(LISTS),
        st.builds(lambda v: Piece.of("list_append(#l, {})", v), value(LISTS)),
        st.builds(lambda a, b: Piece.of("list_append({}, if_not_exists(#l, {}))", a, b), *[value(LISTS)] * 2),
    ),
    "x": value(VALUES) | NAMES.map(path),
}


@st.composite
def updates(draw: st.DrawFn) -> Piece:
    names = draw(st.permutations(sorted(ATTRIBUTES)))
    set_names, removed, added = names[: draw(st.integers(0, 3))], names[3:], "n" in names[3:]
    sets = [Piece.of(f"#{name} = {{}}", draw(TERMS[name])) for name in set_names]
    if "m" in removed and draw(st.booleans()):
        sets.append(Piece.of("#m.#k = {}", draw(value(SIMPLE))))
        removed = [name for name in removed if name != "m"]
    if "l" in removed and draw(st.booleans()):
        sets.append(Piece.of(f"#l[{draw(st.integers(0, 2))}] = {{}}", draw(value(SIMPLE))))
        removed = [name for name in removed if name != "l"]
    clauses = [Piece.of("SET " + ", ".join(["{}"] * len(sets)), *sets)] if sets else []
    if added and draw(st.booleans()):
        clauses.append(Piece.of("ADD #n {}", draw(_NUMBER)))
        removed = [name for name in removed if name != "n"]
    if removed:
        clauses.append(Piece("REMOVE " + ", ".join(f"#{name}" for name in removed)))
    return Piece.of(" ".join(["{}"] * len(clauses)), *clauses) if clauses else Piece("REMOVE #x")


def _shown() -> st.SearchStrategy[dict[str, str]]:
    return st.sampled_from([{}, {"ReturnValuesOnConditionCheckFailure": "ALL_OLD"}])


@st.composite
def writes(draw: st.DrawFn) -> tuple[str, dict[str, Any]]:
    """What kind of write, and its parameters."""
    kind = draw(st.sampled_from(["Put", "Update", "Delete"]))
    pieces: dict[str, Piece] = {"UpdateExpression": draw(updates())} if kind == "Update" else {}
    if draw(st.booleans()):
        pieces["ConditionExpression"] = draw(CONDITIONS)
    target = {"Item": draw(ITEMS)} if kind == "Put" else {"Key": draw(KEYS)}
    shown = draw(_shown()) if "ConditionExpression" in pieces else {}
    return kind, {"TableName": TABLE, **target, **expressed(pieces), **shown}


@st.composite
def single_writes(draw: st.DrawFn) -> Request:
    kind, given = draw(writes())
    returned = ["NONE", "ALL_OLD", "ALL_NEW"] if kind == "Update" else ["NONE", "ALL_OLD"]
    return Request(f"{kind.lower()}_item", {**given, "ReturnValues": draw(st.sampled_from(returned))})


@st.composite
def transactions(draw: st.DrawFn) -> Request:
    actions = [{kind: given} for kind, given in draw(st.lists(writes(), min_size=1, max_size=3))]
    if draw(st.booleans()):
        check = expressed({"ConditionExpression": draw(CONDITIONS)})
        actions.append({"ConditionCheck": {"TableName": TABLE, "Key": draw(KEYS), **check}})
    token = draw(st.sampled_from([{}, {"ClientRequestToken": "one"}, {"ClientRequestToken": "other"}]))
    return Request("transact_write_items", {"TransactItems": actions, **token})


@st.composite
def queries(draw: st.DrawFn) -> Request:
    pk = Piece("pk = ?", ({"S": draw(PKS)},))
    sort: Sequence[Piece] = [
        pk,
        *(Piece.of("{} AND sk " + sign + " {}", pk, draw(value(SKS.map(_string)))) for sign in "<>="),
        Piece.of("{} AND begins_with(sk, {})", pk, draw(value(SKS.map(_string)))),
        Piece.of("{} AND sk BETWEEN {} AND {}", pk, Piece("?", ({"S": "1"},)), Piece("?", ({"S": "21"},))),
    ]
    pieces = {"KeyConditionExpression": draw(st.sampled_from(sort))}
    if draw(st.booleans()):
        pieces["FilterExpression"] = Piece.of("attribute_exists(#s) OR #n > {}", draw(_NUMBER))
    given = {
        "TableName": TABLE,
        **expressed(pieces),
        "ScanIndexForward": draw(st.booleans()),
        "ConsistentRead": True,
    }
    if draw(st.booleans()):
        given["Limit"] = draw(st.integers(1, 3))
    if draw(st.booleans()):
        given["ExclusiveStartKey"] = {"pk": pk.values[0], "sk": {"S": draw(SKS)}}
    return Request("query", given)


def _string(text: str) -> dict[str, str]:
    return {"S": text}


def _get(key: Mapping[str, Any]) -> Request:
    return Request("get_item", {"TableName": TABLE, "Key": key, "ConsistentRead": True})


def _batch(keys: Sequence[Mapping[str, Any]]) -> Request:
    return Request("batch_get_item", {"RequestItems": {TABLE: {"Keys": keys, "ConsistentRead": True}}})


@st.composite
def statements(draw: st.DrawFn) -> Request:
    """To different items: the emulator takes several to one, one after the other."""
    keys = draw(st.lists(KEYS, min_size=1, max_size=4, unique_by=str))
    given = [draw(_insert(key) | _update(key)) for key in keys]
    return Request(LOT, {"Statements": [{**each, **draw(_shown())} for each in given]})


def _insert(key: Mapping[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    def made(rest: Mapping[str, Any]) -> dict[str, Any]:
        item = {**key, **rest}
        names = ", ".join(f"'{name}': ?" for name in item)
        text = f'INSERT INTO "{TABLE}" VALUE {{{names}}}'
        return {"Statement": text, "Parameters": list(item.values())}

    return st.fixed_dictionaries({}, optional=dict(ATTRIBUTES)).map(made)


@st.composite
def _update(draw: st.DrawFn, key: Mapping[str, Any]) -> dict[str, Any]:
    names = draw(st.permutations(sorted(ATTRIBUTES)))
    sets, removed = names[: draw(st.integers(1, 3))], names[3 : 3 + draw(st.integers(0, 2))]
    compared = draw(st.lists(NAMES, max_size=2, unique=True))
    changes = [f'SET "{name}" = ?' for name in sets] + [f'REMOVE "{name}"' for name in removed]
    where = " AND ".join(f'"{name}" = ?' for name in (*key, *compared))
    values = [draw(ATTRIBUTES[name]) for name in (*sets, *compared)]
    return {
        "Statement": f'UPDATE "{TABLE}" {" ".join(changes)} WHERE {where}',
        "Parameters": [*values[: len(sets)], *key.values(), *values[len(sets) :]],
    }


REQUESTS = st.one_of(
    single_writes(),
    single_writes(),
    statements(),
    transactions(),
    queries(),
    KEYS.map(_get),
    st.lists(KEYS, min_size=1, max_size=4).map(_batch),
)

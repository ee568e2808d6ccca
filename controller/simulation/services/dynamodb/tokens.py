"""Expressions as words, and what placeholders in them stand for."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from controller.simulation.services.dynamodb.errors import Refused, invalid
from controller.simulation.services.dynamodb.reserved import RESERVED

LONGEST = 4096

_WORD = re.compile(r"\s*(?:([#:]?[A-Za-z0-9_]+)|(<>|<=|>=|[=<>(),.+\-\[\]]))")


class Tokens:
    """`kind`: what the expression is called in a request. `used`: the placeholders that were seen go there."""

    def __init__(
        self, kind: str, text: str, names: Mapping[str, str], values: Collection[str], used: set[str]
    ) -> None:
        self._kind = kind
        self._names = names
        self._values = values
        self._words = self._split(text)
        self._at = 0
        self._used = used

    def refuse(self, problem: str) -> Refused:
        return invalid(f"Invalid {self._kind}: {problem}")

    def peek(self, ahead: int = 0) -> str:
        """An empty string behind the end."""
        at = self._at + ahead
        return self._words[at] if at < len(self._words) else ""

    def next(self) -> str:
        word = self.peek()
        self._at += 1
        return word

    def skip(self, word: str) -> bool:
        """Whether the next word was this one, whose case does not matter; then it is behind us."""
        found = self.peek().upper() == word
        self._at += found
        return found

    def expect(self, word: str) -> None:
        if not self.skip(word):
            raise self.unexpected()

    def unexpected(self) -> Refused:
        near = " ".join(self._words[max(0, self._at - 1) : self._at + 2])
        return self.refuse(f'Syntax error; token: "{self.peek() or "<EOF>"}", near: "{near}"')

    def end(self) -> None:
        if self.peek():
            raise self.unexpected()

    def attribute(self) -> str:
        word = self.next()
        if word.startswith("#"):
            self._used.add(word)
            if word not in self._names:
                problem = (
                    "An expression attribute name used in the document path is not defined; attribute name: "
                )
                raise self.refuse(problem + word)
            return self._names[word]
        if not word[:1].isalpha():
            self._at -= 1
            raise self.unexpected()
        if word.upper() in RESERVED:
            raise self.refuse(f"Attribute name is a reserved keyword; reserved keyword: {word}")
        return word

    def value(self) -> str:
        word = self.next()
        self._used.add(word)
        if word not in self._values:
            problem = "An expression attribute value used in expression is not defined; attribute value: "
            raise self.refuse(problem + word)
        return word

    def _split(self, text: str) -> list[str]:
        if not text.strip():
            raise self.refuse("The expression can not be empty;")
        if len(text.encode()) > LONGEST:
            problem = "Expression size has exceeded the maximum allowed size; expression size: "
            raise self.refuse(f"{problem}{len(text.encode())}")
        text, words, at = text.rstrip(), [], 0
        while at < len(text):
            found = _WORD.match(text, at)
            if found is None:
                raise self.refuse(
                    f'Syntax error; token: "{text[at:].strip()[0]}", near: "{text[at : at + 8]}"'
                )
            words.append(found[1] or found[2])
            at = found.end()
        return words

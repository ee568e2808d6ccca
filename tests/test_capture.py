"""What of a container's output is written, what is masked, and what is kept for the record."""

from __future__ import annotations

import itertools
import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from runner.agent.capture import SHORTEST_SECRET, TAIL_BYTES, Capture, Redactor


class Memory:
    """A `LogWriter` that keeps all."""

    def __init__(self) -> None:
        self.chunks: list[bytes] = []
        self.closed = 0

    @property
    def data(self) -> bytes:
        return b"".join(self.chunks)

    def write(self, data: bytes) -> None:
        self.chunks.append(data)

    def close(self) -> None:
        self.closed += 1

    @property
    def written(self) -> int:
        return len(self.data)

    @property
    def dropped(self) -> int:
        return 0


def capture(*chunks: bytes, secrets: tuple[str, ...] = ()) -> tuple[Capture, Memory]:
    memory = Memory()
    made = Capture(memory, secrets)
    for chunk in chunks:
        made.write(chunk)
    return made, memory


def tail_of(*chunks: bytes, secrets: tuple[str, ...] = ()) -> tuple[str, ...]:
    made, _ = capture(*chunks, secrets=secrets)
    made.close()
    return made.tail()


def whole(text: bytes, secrets: list[str]) -> bytes:
    """The law: as if all of the text had been there at once."""
    worth = sorted({s.encode() for s in secrets if len(s) >= SHORTEST_SECRET}, key=len, reverse=True)
    return re.sub(b"|".join(map(re.escape, worth)), b"***", text) if worth else text


@st.composite
def chunked(draw: st.DrawFn) -> tuple[list[str], list[bytes]]:
    """Secrets of few letters that overlap and begin each other, output made of their pieces, cut anywhere."""
    words = draw(st.lists(st.text("ab*é", min_size=1, max_size=9), max_size=3))
    secrets = [*words, *(word[: draw(st.integers(1, len(word)))] for word in words)]
    pieces = st.sampled_from([*secrets, "a", "b", "ab", "é", "\n"])
    text = "".join(draw(st.lists(pieces, max_size=20))).encode()
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=12)))
    ends = [0, *cuts, len(text)]
    return secrets, [text[a:b] for a, b in itertools.pairwise(ends)]


@given(chunked())
@example((["abab", "ababab"], [b"ab", b"aba", b"babab"]))
@example((["aaaa"], [b"aaa", b"aaa", b"aaa"]))
def test_however_it_is_cut_all_is_written_as_if_masked_at_once(case: tuple[list[str], list[bytes]]) -> None:
    secrets, chunks = case
    made, memory = capture(*chunks, secrets=tuple(secrets))
    made.close()
    assert memory.data == whole(b"".join(chunks), secrets)


@given(chunked())
def test_never_more_is_held_back_than_the_beginning_of_a_secret(case: tuple[list[str], list[bytes]]) -> None:
    secrets, chunks = case
    redactor = Redactor(secrets)
    fed = b""
    for chunk in chunks:
        redactor.feed(chunk)
        fed += chunk
        held = redactor.held
        assert held == b"" or any(s.encode().startswith(held) and s.encode() != held for s in secrets)
        assert fed.endswith(held)


def test_a_secret_in_one_chunk_is_masked() -> None:
    _, memory = capture(b"key=hunter22 ok\n", secrets=("hunter22",))
    assert memory.data == b"key=*** ok\n"


def test_a_line_without_a_secret_is_written_at_once() -> None:
    _, memory = capture(b"progress 10%", secrets=("hunter22",))
    assert memory.data == b"progress 10%"


def test_of_two_secrets_that_begin_alike_the_longer_is_masked_whole() -> None:
    made, memory = capture(b"password", b"-and-more", secrets=("password", "password-and-more"))
    made.close()
    assert memory.data == b"***"


def test_the_beginning_of_a_secret_is_written_in_the_end() -> None:
    made, memory = capture(b"hunt", secrets=("hunter22",))
    made.close()
    assert memory.data == b"hunt"


def test_values_too_short_to_hide_are_left_alone() -> None:
    _, memory = capture(b"1 of 123", secrets=("1", "123", ""))
    assert memory.data == b"1 of 123"


def test_a_secret_of_several_lines_is_masked() -> None:
    _, memory = capture(b"-----BEGIN\nabc", b"def\nEND-----\n", secrets=("BEGIN\nabcdef\nEND",))
    assert memory.data == b"-----***-----\n"


def test_a_secret_is_no_pattern() -> None:
    _, memory = capture(b"aXcd a.c+ \n", secrets=("a.c+",))
    assert memory.data == b"aXcd *** \n"


def test_the_tail_is_masked_too() -> None:
    assert tail_of(b"key=hun", b"ter22\n", secrets=("hunter22",)) == ("key=***",)


def test_nothing_written_is_no_lines() -> None:
    assert tail_of() == ()


def test_the_tail_is_the_last_twenty_lines() -> None:
    assert tail_of(*(b"%d\n" % n for n in range(100))) == tuple(str(n) for n in range(80, 100))


def test_a_last_line_without_its_end_counts() -> None:
    assert tail_of(b"one\ntwo") == ("one", "two")


def test_empty_lines_stay() -> None:
    assert tail_of(b"one\n\ntwo\n\n") == ("one", "", "two", "")


def test_windows_line_ends_are_not_shown() -> None:
    assert tail_of(b"one\r\ntwo\r\n") == ("one", "two")


def test_a_long_line_is_cut_and_says_so() -> None:
    [line] = tail_of(b"x" * 5000)
    assert line == "x" * 999 + "…"


def test_a_line_of_the_full_length_is_whole() -> None:
    assert tail_of(b"x" * 1000) == ("x" * 1000,)


def test_a_flood_is_held_to_its_end() -> None:
    made, _ = capture(*[b"x" * 65536] * 100, b"\nlast\n")
    assert len(made._recent) <= TAIL_BYTES
    assert made.tail()[-1] == "last"


def test_text_that_is_no_utf8_is_replaced() -> None:
    assert tail_of(b"caf\xe9 \xff\n") == ("caf\ufffd \ufffd",)


@pytest.mark.parametrize(
    ("raw", "seen"),
    [
        ("a\0b", r"a\x00b"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("1%\r2%", r"1%\r2%"),
        ("bell\x07", r"bell\x07"),
        ("csi\x9b31m", r"csi\x9b31m"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("next\u2028line", r"next\u2028line"),
        ("a\tb", "a\tb"),
        ("ünïcödé 漢字", "ünïcödé 漢字"),
    ],
)
def test_what_a_terminal_would_act_upon_is_made_visible(raw: str, seen: str) -> None:
    assert tail_of(raw.encode() + b"\n") == (seen,)


@given(st.lists(st.binary(max_size=50), max_size=10))
def test_whatever_is_written_the_tail_is_harmless_and_short(chunks: list[bytes]) -> None:
    lines = tail_of(*chunks)
    assert len(lines) <= 20
    assert {unicodedata.category(c) for line in lines for c in line if c != "\t"}.isdisjoint(
        {"Cc", "Cs", "Zl", "Zp"}
    )


def test_closing_twice_closes_the_writer_once() -> None:
    made, memory = capture(b"data")
    made.close()
    made.close()
    assert memory.closed == 1


def test_output_after_the_end_is_ignored() -> None:
    made, memory = capture(b"data")
    made.close()
    made.write(b"late")
    assert memory.data == b"data"

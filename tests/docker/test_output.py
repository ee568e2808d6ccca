"""Output is taken off the wire whole, however it is cut."""

from __future__ import annotations

import struct

from hypothesis import given
from hypothesis import strategies as st

from runner.adapters.docker.output import Demultiplexer


def frame(stream: int, payload: bytes) -> bytes:
    return struct.pack(">BxxxI", stream, len(payload)) + payload


def cut(data: bytes, places: list[int]) -> list[bytes]:
    at = sorted({place % (len(data) + 1) for place in places})
    return [data[start:end] for start, end in zip([0, *at], [*at, len(data)], strict=True)]


@given(
    st.lists(st.tuples(st.sampled_from([1, 2]), st.binary(max_size=50))), st.lists(st.integers(min_value=0))
)
def test_what_was_written_comes_out_however_the_wire_cuts_it(
    frames: list[tuple[int, bytes]], places: list[int]
) -> None:
    wire = b"".join(frame(stream, payload) for stream, payload in frames)
    demultiplexer = Demultiplexer()
    got = [data for part in cut(wire, places) for data in demultiplexer.feed(part)]
    assert b"".join(got) == b"".join(payload for _, payload in frames)


def test_a_long_frame_is_delivered_before_it_is_complete() -> None:
    wire = frame(1, b"x" * 1000)
    demultiplexer = Demultiplexer()
    assert b"".join(demultiplexer.feed(wire[:500])) == b"x" * 492

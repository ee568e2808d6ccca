"""Outcomes as they are stored: whatever a task leaves behind, its record is written."""

from __future__ import annotations

from dataclasses import replace

from runner.codec import encode_outcome
from runner.model import Outcome

# An item holds 400 KB; the rest of a record, its live metadata included, is far below the difference.
LARGEST = 150_000
LONGEST_TEXT = 10_000
LONGEST_LINE = 2_000
SHORTENED = "too large for a record, and shortened"


def encode(outcome: Outcome) -> str:
    """As text; shortened if it is too large, and then its warning says so. The same outcome gives the same text."""
    text = encode_outcome(outcome)
    for shorten in (_texts, _metadata, _tail):
        if len(text) <= LARGEST:
            return text
        outcome = shorten(_flagged(outcome))
        text = encode_outcome(outcome)
    return text


def _flagged(outcome: Outcome) -> Outcome:
    if SHORTENED in outcome.warning:
        return outcome
    return replace(outcome, warning="; ".join(filter(None, (outcome.warning[:LONGEST_LINE], SHORTENED))))


def _texts(outcome: Outcome) -> Outcome:
    return replace(
        outcome,
        reason=outcome.reason[:LONGEST_TEXT],
        image_digest=outcome.image_digest and outcome.image_digest[:LONGEST_LINE],
        log=outcome.log[:LONGEST_TEXT],
        tail=tuple(line[:LONGEST_LINE] for line in outcome.tail),
    )


def _metadata(outcome: Outcome) -> Outcome:
    return replace(outcome, metadata={})


def _tail(outcome: Outcome) -> Outcome:
    return replace(outcome, tail=outcome.tail[-5:])

"""Packing the messages of an idle session into compressed segments, and back."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from langchain_llmops.memory.stores.codec import decode_segment, encode_segment
from langchain_llmops.memory.stores.log import BLOCK
from langchain_llmops.memory.stores.operation import Compute, ask

if TYPE_CHECKING:
    from langchain_llmops.memory.stores.log import Head, Log, Row
    from langchain_llmops.storage.plans import Plan

__all__ = ["pack", "unpacked"]

_RATIO: Final = 5
"""How many times its size a segment has unpacked, roughly."""


def pack(log: Log, head: Head) -> Plan[bool]:
    """Pack a session, a segment at a time.

    Each segment is swapped for its rows in one step, and not at all if the session was
    touched: whoever reads or is killed in between finds every message in one of both.

    Returns:
        Whether all of it is packed.
    """
    for number in (yield from ask(log.warm_segments(head.born))):
        start = number * BLOCK
        stop = min(head.length, start + BLOCK)
        fetched = yield from ask(log.fetch(head.born, start, stop))
        rows = {row.seq: row for row in fetched.rows}
        for segment in fetched.segments.values():
            rows |= {row.seq: row for row in (yield from ask(unpacked(segment)))}
        if len(rows) != stop - start:
            return False
        ordered = [rows[seq] for seq in sorted(rows)]
        size = sum(len(row.body) for row in ordered)
        packed = yield from ask(Compute(partial(encode_segment, ordered), size))
        if not (yield from ask(log.pack(head, number, packed))):
            return False
    return (yield from ask(log.seal(head)))


def unpacked(segment: bytes) -> Compute[list[Row]]:
    """Return the operation that gives the rows of a segment."""
    return Compute(partial(decode_segment, segment), len(segment) * _RATIO)

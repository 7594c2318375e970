"""Damage to real files: truncated anywhere, bits flipped where they bite."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from edge.errors import EdgeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

ENDS_BYTES = 4000


def damaged(data: bytes, seed: int) -> bytes:
    """Return the bytes truncated (even seeds) or with one to ten bits flipped (odd ones)."""
    chance = random.Random(seed)
    if seed % 2 == 0:
        return data[: chance.randrange(len(data))]
    changed = bytearray(data)
    ends = min(ENDS_BYTES, len(data))
    for _ in range(chance.choice((1, 3, 10))):
        # Most bytes of a model are weights; its structure stands at its ends.
        place = chance.choice(
            (
                chance.randrange(len(data)),
                chance.randrange(ends),
                len(data) - 1 - chance.randrange(ends),
            )
        )
        changed[place] ^= 1 << chance.randrange(8)
    return bytes(changed)


def faults(read: Callable[[Path], object], data: bytes, path: Path, *, count: int = 200):
    """Return the text of every error that damaged copies give; other than ours come through."""
    found = []
    for seed in range(count):
        path.write_bytes(damaged(data, seed))
        found.append(refusal(read, path))
    return [text for text in found if text]


def refusal(read: Callable[[Path], object], path: Path) -> str:
    """Return the sentence with which a file is refused; empty if it is read."""
    try:
        read(path)
    except EdgeError as error:
        return str(error)
    return ""

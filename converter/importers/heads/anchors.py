"""The anchors that a person says of a YOLO whose file does not, or says otherwise."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from edge.errors import ConfigError

Anchors = tuple[tuple[tuple[float, float], ...], ...]

MAX_FILE_BYTES = 16 * 2**20


def agree(path: Path, found: Anchors, text: str) -> None:
    """Refuse anchors that a person says and a file says otherwise.

    Raises:
        ConfigError: They differ.
    """
    said = anchor_groups(path, text, grids=len(found))
    if not np.array_equal(np.array(said, np.float32), np.array(found, np.float32)):
        raise ConfigError(
            f"{path}: its decode says the anchors {_words(found)}, you say {_words(said)}; leave "
            "out --anchors"
        )


def _words(groups: Anchors) -> str:
    return " / ".join(" ".join(f"{w:g},{h:g}" for w, h in group) for group in groups)


def anchor_groups(path: Path, text: str | None, *, grids: int) -> Anchors:
    """Return the anchors that the person says, a group for each grid.

    Raises:
        ConfigError: They are not said, or do not fit.
    """
    if text is None:
        raise ConfigError(
            f"{path}: the file does not say its anchors, so you must: --anchors 'W,H W,H / W,H …', "
            f"pixels, {grids} groups, finest grid first"
        )
    groups = [_pairs(group) for group in _text_of(text).split("/")]
    if len(groups) == 1 and len(groups[0]) % grids == 0:
        each = len(groups[0]) // grids
        groups = [groups[0][at : at + each] for at in range(0, len(groups[0]), each)]
    if len(groups) != grids or not all(groups):
        raise ConfigError(
            f"{path}: expected {grids} groups of anchors, one a grid, found {len(groups)} in "
            f"--anchors {text!r}"
        )
    return tuple(groups)


def _text_of(text: str) -> str:
    """Return the anchors as text: `--anchors` may name a file of them."""
    if "," in text:
        return text
    try:
        return Path(text).read_text("utf-8")[:MAX_FILE_BYTES]
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ConfigError(
            f"expected --anchors 'W,H W,H / …' or a text file of these, found {text!r}"
        ) from error


def _pairs(text: str) -> tuple[tuple[float, float], ...]:
    numbers = [float(word) for word in re.findall(r"\d+(?:\.\d+)?", text)]
    if len(numbers) % 2 or not all(number > 0 for number in numbers):
        raise ConfigError(
            f"expected pairs of positive numbers in --anchors, found {text.strip()!r}"
        )
    return tuple(zip(numbers[::2], numbers[1::2], strict=True))

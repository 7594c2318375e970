"""Which channel of bytes is the greatest, cell by cell, where channels lie side by side.

A channel's plane has to be copied byte by byte, which takes most of the time of a maximum of
planes. Here no plane is: the tensor is read as pairs of bytes, each byte becomes a key of 16 bits
(its value, then the lowest channel first), and the greatest key of a cell is found by maxima of
neighbours, 2, 4, 8 … pairs wide, taken over all of a chunk at once.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Of a chunk: three arrays of them stay in the L2 cache, and few enough chunks are left.
PAIRS = 120_000
HIGH_BYTE, BYTE = 0xFF00, 256
# The first byte of a pair is its low one.
IS_LITTLE_ENDIAN = sys.byteorder == "little"


def takes(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    """Whether cells `(H, W)` of C >= 2 channels can be looked at in pairs: they are even in all."""
    height, width, channels = shape
    is_even = height * width % 2 == 0
    return IS_LITTLE_ENDIAN and dtype.itemsize == 1 and channels > 1 and is_even


class ByteArgmax:
    """Owns what it needs, so that a call makes no array.

    Args:
        channels: C, 2 to 256.
        cells: How many, even.
        dtype: int8 or uint8.
    """

    def __init__(self, channels: int, cells: int, dtype: np.dtype[Any]) -> None:
        self._channels = channels
        self._wide = np.dtype(np.int16 if dtype.kind == "i" else np.uint16)
        self._chunk = min(cells, max(2, 2 * (PAIRS // channels)))
        pairs = self._chunk * channels // 2
        tags = (BYTE - 1 - np.arange(2 * pairs) % channels).astype(self._wide)
        self._first_tags, self._second_tags = tags[0::2].copy(), tags[1::2].copy()
        self._high_byte = np.uint16(HIGH_BYTE).astype(self._wide)
        self._keys = np.empty((2, pairs), self._wide)
        self._best = np.empty(self._chunk, self._wide)

    def __call__(self, values: NDArray[Any], *, out: NDArray[np.uint8]) -> None:
        """Write the channel of the greatest value, of equal ones the first.

        Args:
            values: Of cells times channels, contiguous.
            out: `(cells,)`.
        """
        pairs = values.reshape(-1).view(self._wide)
        for start in range(0, len(out), self._chunk):
            ids = out[start : start + self._chunk]
            ends = start * self._channels // 2, (start + len(ids)) * self._channels // 2
            best = self._greatest(pairs[slice(*ends)], len(ids))
            np.copyto(ids, best, casting="unsafe")  # the low byte
            np.invert(ids, out=ids)

    def _greatest(self, pairs: NDArray[Any], cells: int) -> NDArray[Any]:
        """Return the greatest key of each cell, `(cells,)`; borrowed.

        With an odd number of channels every second cell begins in the middle of a pair: one of its
        keys stands outside the pairs that are its own.
        """
        count, half = len(pairs), self._channels // 2
        first, second = self._keys[0, :count], self._keys[1, :count]
        np.multiply(pairs, BYTE, out=first)
        np.add(first, self._first_tags[:count], out=first)
        np.bitwise_and(pairs, self._high_byte, out=second)
        np.bitwise_or(second, self._second_tags[:count], out=second)
        best = self._best[:cells]
        is_odd = self._channels % 2
        if is_odd:
            np.copyto(best[0::2], first[half :: self._channels])
            np.copyto(best[1::2], second[half :: self._channels])
        np.maximum(first, second, out=first)
        widest = _neighbours(first, second, half)
        if not is_odd:
            return widest[::half]
        np.maximum(best[0::2], widest[0 :: self._channels], out=best[0::2])
        np.maximum(best[1::2], widest[half + 1 :: self._channels], out=best[1::2])
        return best


def _neighbours(keys: NDArray[Any], spare: NDArray[Any], width: int) -> NDArray[Any]:
    """Return the maximum of each key and the `width` - 1 behind it; in one of the two arrays."""
    reach = 1
    while reach < width:
        step = min(reach, width - reach)
        count = len(keys) - step
        np.maximum(keys[:count], keys[step:], out=spare[:count])
        keys, spare = spare[:count], keys
        reach += step
    return keys

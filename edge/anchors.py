"""Anchors as bytes: a `.npy` of `(A, 4)` float32, read as untrusted input."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDES = 4


def to_bytes(anchors: NDArray[np.float32]) -> bytes:
    """Return the `.npy` bytes of `(A, 4)` anchors, the same for the same values."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(anchors, np.float32), allow_pickle=False)
    return buffer.getvalue()


def from_bytes(data: bytes) -> NDArray[np.float32]:
    """Return the anchors, a new `(A, 4)` float32 array of finite numbers.

    Raises:
        ValueError: The bytes are no `.npy`, or hold something else.
    """
    buffer = io.BytesIO(data)
    np.lib.format.read_magic(buffer)
    shape, is_by_columns, dtype = np.lib.format.read_array_header_1_0(buffer)
    values = buffer.read()
    # Checked before an array is made: a header may claim more than there is memory for.
    size_bytes = math.prod(shape) * dtype.itemsize
    is_float32 = dtype == np.float32 and not is_by_columns
    if shape[1:] != (SIDES,) or not is_float32 or len(values) != size_bytes:
        raise ValueError(
            f"anchors must be (A, {SIDES}) float32, found {shape} {dtype} in {len(values)} bytes"
        )
    anchors: NDArray[np.float32] = np.frombuffer(values, np.float32).reshape(shape).copy()
    if not np.isfinite(anchors).all():
        raise ValueError("anchors must be finite numbers, found infinite ones or NaN")
    return anchors

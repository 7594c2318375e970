"""Anchors as bytes: a `.npy` of `(A, 4)` float32, read as untrusted input."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

SIDES = 4
# The one header that `to_bytes` writes. NumPy's own reader takes it for Python source, and on
# damaged bytes raises whatever a tokenizer may. Source: numpy.lib.format, "Format Version 1.0".
HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '<f4', 'fortran_order': False, "
    rb"'shape': \((\d{1,7}), 4\), \} *\n",
    re.DOTALL,
)
SHOWN_BYTES = 100


def to_bytes(anchors: NDArray[np.float32]) -> bytes:
    """Return the `.npy` bytes of `(A, 4)` anchors, the same for the same values."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(anchors, "<f4"), allow_pickle=False)
    return buffer.getvalue()


def from_bytes(data: bytes) -> NDArray[np.float32]:
    """Return the anchors, a new `(A, 4)` float32 array of finite numbers.

    Raises:
        ValueError: The bytes are not what `to_bytes` writes.
    """
    header = HEADER.match(data)
    if header is None:
        raise ValueError(
            f"anchors must be (A, {SIDES}) float32 as numpy.save writes them, "
            f"found {data[:SHOWN_BYTES]!r}"
        )
    shape = (int(header[1]), SIDES)
    values = data[header.end() :]
    # Checked before an array is made: a header may claim more than there is memory for.
    if len(values) != shape[0] * SIDES * np.dtype(np.float32).itemsize:
        raise ValueError(f"anchors must fill {shape} float32, found {len(values)} bytes")
    anchors: NDArray[np.float32] = np.frombuffer(values, "<f4").reshape(shape).astype(np.float32)
    if not np.isfinite(anchors).all():
        raise ValueError("anchors must be finite numbers, found infinite ones or NaN")
    return anchors

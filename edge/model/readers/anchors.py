"""The anchors of an SSD as the bytes of a `.npy`, read without NumPy's own reader."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

ANCHOR_SIDES = 4
# The one header that `anchors_to_bytes` writes. NumPy's own reader takes it for Python source, and
# on damaged bytes raises whatever a tokenizer may. Source: numpy.lib.format, "Format Version 1.0".
ANCHORS_HEADER = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '<f4', 'fortran_order': False, "
    rb"'shape': \((\d{1,7}), 4\), \} *\n",
    re.DOTALL,
)
SHOWN_BYTES = 100


def anchors_to_bytes(anchors: NDArray[np.float32]) -> bytes:
    """Return the `.npy` bytes of `(A, 4)` anchors, the same for the same values."""
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(anchors, "<f4"), allow_pickle=False)
    return buffer.getvalue()


def anchors_from_bytes(data: bytes) -> NDArray[np.float32]:
    """Return the anchors, a new `(A, 4)` float32 array of finite numbers.

    Raises:
        ValueError: The bytes are not what `anchors_to_bytes` writes.
    """
    header = ANCHORS_HEADER.match(data)
    if header is None:
        raise ValueError(
            f"anchors must be (A, {ANCHOR_SIDES}) float32 as numpy.save writes them, "
            f"found {data[:SHOWN_BYTES]!r}"
        )
    shape = (int(header[1]), ANCHOR_SIDES)
    values = data[header.end() :]
    # Checked before an array is made: a header may claim more than there is memory for.
    if len(values) != shape[0] * ANCHOR_SIDES * np.dtype(np.float32).itemsize:
        raise ValueError(f"anchors must fill {shape} float32, found {len(values)} bytes")
    return anchors_from_rows(np.frombuffer(values, "<f4").reshape(shape))


def anchors_from_rows(rows: Any) -> NDArray[np.float32]:  # noqa: ANN401 - what stands in a file
    """Return rows of numbers as anchors, a new `(A, 4)` float32 array of finite numbers.

    Raises:
        ValueError: They are something else.
    """
    anchors: NDArray[np.float32] = np.array(rows, np.float32)
    if anchors.shape != (len(anchors), ANCHOR_SIDES):
        raise ValueError(f"anchors must be (A, {ANCHOR_SIDES}), found {anchors.shape}")
    if not np.isfinite(anchors).all():
        raise ValueError("anchors must be finite numbers, found infinite ones or NaN")
    return anchors

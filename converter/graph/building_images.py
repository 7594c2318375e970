"""Convolutions and pools with any padding, written with TFLite's two words for it and an op more.

TFLite pads `SAME` or `VALID`; what is neither needs a PAD before it, or a slice behind it. All
images are `(1, H, W, C)` float32.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from converter.graph.own_biases import BIASED_VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from converter.graph.building import Builder

Pair = tuple[int, int]
NO_PADS = ((0, 0), (0, 0))
GROUPED_VERSION, DILATED_VERSION = 6, 2  # of convolutions, full and depthwise


@dataclass(frozen=True, slots=True)
class Window:
    """What slides over an image; vertical first.

    Attributes:
        kernel: Rows and columns.
        strides: Likewise.
        dilations: Likewise.
        pads: Rows (before, after), then columns.
    """

    kernel: Pair
    strides: Pair = (1, 1)
    dilations: Pair = (1, 1)
    pads: tuple[Pair, Pair] = NO_PADS

    @property
    def reach(self) -> list[int]:
        """Rows and columns from the first to the last cell of the kernel."""
        return [(k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True)]

    def out_hw(self, size_hw: Sequence[int]) -> list[int]:
        """Return rows and columns of what comes out."""
        return [
            (size + sum(pads) - reach) // stride + 1
            for size, pads, reach, stride in self._axes(size_hw)
        ]

    def fitted(self, size_hw: Sequence[int], *, ceil: bool = False) -> Window:
        """Return it with as much padding at the end as its last window reaches.

        Args:
            size_hw: Of the image.
            ceil: The last window is one that begins inside, wherever it ends.
        """
        pads = []
        for size, (before, behind), reach, stride in self._axes(size_hw):
            room = size + before + behind - reach
            last = (-(-room // stride) if ceil else room // stride) * stride
            last -= stride if ceil and last >= size + before else 0
            pads.append((before, max(last + reach - size - before, 0)))
        return replace(self, pads=(pads[0], pads[1]))

    def same(self, size_hw: Sequence[int], *, more_behind: bool = True) -> Window:
        """Return it padded to one window a stride, the larger half behind, or before.

        Source: TensorFlow, `tf.nn`, "Notes on padding".
        """
        totals = [
            max((-(-size // stride) - 1) * stride + reach - size, 0)
            for size, _, reach, stride in self._axes(size_hw)
        ]
        rows, columns = ((total // 2, total - total // 2) for total in totals)
        return replace(self, pads=(rows, columns) if more_behind else (rows[::-1], columns[::-1]))

    def word(self, size_hw: Sequence[int]) -> str | None:
        """Return TFLite's word for the padding that windows reach; `None` where it has none."""
        fitted = self.fitted(size_hw)
        if fitted.pads == NO_PADS:
            return "VALID"
        return "SAME" if fitted == fitted.same(size_hw) else None

    def options(self, padding: str) -> dict[str, Any]:
        """Return the options of a pool."""
        return {
            "padding": padding, "strideH": self.strides[0], "strideW": self.strides[1],
            "filterHeight": self.kernel[0], "filterWidth": self.kernel[1],
            "fusedActivationFunction": "NONE",
        }  # fmt: skip

    def _axes(self, size_hw: Sequence[int]) -> list[tuple[int, Pair, int, int]]:
        return list(zip(size_hw, self.pads, self.reach, self.strides, strict=True))


# A convolution is described by all of these.
def convolution(  # noqa: PLR0913
    builder: Builder,
    image: str,
    filters: NDArray[np.float32],
    *,
    bias: NDArray[np.float32] | None,
    window: Window,
    groups: int = 1,
) -> str:
    """Add a convolution with zero padding and a bias of its own, zeros if none is given.

    It is a depthwise one where every channel is its own group. The filters are
    `(Cout, Cin / groups, kH, kW)`, the bias `(Cout,)`.
    """
    size_hw = builder.shape(image)[1:3]
    (rows, columns), padding = window.out_hw(size_hw), window.word(size_hw)
    if padding is None:
        image = builder.pad(image, [(0, 0), *window.fitted(size_hw).pads, (0, 0)])
    count, depthwise = len(filters), groups > 1 and filters.shape[1] == 1
    options: dict[str, Any] = {
        "padding": padding or "VALID", "fusedActivationFunction": "NONE",
        "strideH": window.strides[0], "strideW": window.strides[1],
        "dilationHFactor": window.dilations[0], "dilationWFactor": window.dilations[1],
    }  # fmt: skip
    version = GROUPED_VERSION if groups > 1 else 1
    if depthwise:
        options["depthMultiplier"] = count // groups
        version = DILATED_VERSION if max(window.dilations) > 1 else 1
    weights = builder.constant(filters.transpose((1, 2, 3, 0) if depthwise else (0, 2, 3, 1)))
    own = builder.constant(np.zeros(count, np.float32) if bias is None else bias)
    return builder.add(
        "DEPTHWISE_CONV_2D" if depthwise else "CONV_2D", [image, weights, own],
        (1, rows, columns, count), version=version, **options,
    )  # fmt: skip


# Likewise.
def transposed_convolution(  # noqa: PLR0913
    builder: Builder,
    image: str,
    filters: NDArray[np.float32],
    *,
    bias: NDArray[np.float32] | None,
    window: Window,
    size_hw: Pair,
) -> str:
    """Add a transposed convolution, of whose whole result the window's pads are cut off.

    The filters are `(Cin, Cout, kH, kW)`, the bias `(Cout,)` or zeros. Of the pads those behind
    follow from the size of the result; zeros fill what no filter meets.
    """
    filters = _dilated(filters, window.dilations)
    strides, inside_hw = window.strides, builder.shape(image)[1:3]
    sides = list(zip(inside_hw, strides, filters.shape[2:], size_hw, strict=True))
    whole = [(inside - 1) * stride + kernel for inside, stride, kernel, _ in sides]
    before = [pads[0] for pads in window.pads]
    cut = [max(full - size, 0) for full, size in zip(whole, size_hw, strict=True)]
    # TFLite cuts as it pads: SAME, the smaller half before.
    same = [part // 2 for part in cut] == before and all(
        -(-size // stride) == inside for inside, stride, _, size in sides
    )
    made_hw = (
        size_hw
        if same
        else [max(*pair) for pair in zip(whole, np.add(before, size_hw), strict=True)]
    )
    channels = filters.shape[1]
    inputs = [
        builder.numbers(1, *made_hw, channels),
        builder.constant(filters.transpose(1, 2, 3, 0)),
        image,
        builder.constant(np.zeros(channels, np.float32) if bias is None else bias),
    ]
    made = builder.add(
        "TRANSPOSE_CONV", inputs, (1, *made_hw, channels), version=BIASED_VERSION, dtype="float32",
        padding="SAME" if same and any(cut) else "VALID",
        strideH=window.strides[0], strideW=window.strides[1], fusedActivationFunction="NONE",
    )  # fmt: skip
    if same:
        return made
    rows, columns = (
        slice(first, first + out, 1) for first, out in zip(before, size_hw, strict=True)
    )
    return builder.sliced(made, [slice(0, 1, 1), rows, columns, slice(0, channels, 1)])


def _dilated(filters: NDArray[np.float32], dilations: Pair) -> NDArray[np.float32]:
    """Return filters with zeros between their cells, as TFLite cannot spread them."""
    if max(dilations) == 1:
        return filters
    sides = [(k - 1) * d + 1 for k, d in zip(filters.shape[2:], dilations, strict=True)]
    spread = np.zeros((*filters.shape[:2], *sides), np.float32)
    spread[:, :, :: dilations[0], :: dilations[1]] = filters
    return spread


def max_pool(builder: Builder, image: str, window: Window) -> str:
    """Add a maximum over windows that leaves out the padding.

    Where TFLite has no word for the padding the border is mirrored, if each window then shows
    nothing but its own cells: no new maximum, and no -inf, for which int8 has no level. What is
    left (dilations, wider padding) becomes maxima of rows and columns that are picked.
    """
    size_hw = builder.shape(image)[1:3]
    pads, word = window.fitted(size_hw).pads, window.word(size_hw)
    out = (1, *window.out_hw(size_hw), builder.shape(image)[3])
    if max(window.dilations) == 1:
        inside = all(2 * max(side) <= k for side, k in zip(pads, window.kernel, strict=True))
        if not word and inside:
            image = builder.mirror_pad(image, [(0, 0), *pads, (0, 0)], with_edge=True)
        if word or inside:
            return builder.add("MAX_POOL_2D", [image], out, **window.options(word or "VALID"))
    for axis in (0, 1):
        picked = _picked(window, axis, size=size_hw[axis], out=out[axis + 1])
        parts = [builder.gather(image, places, axis + 1) for places in picked]
        image = parts[0]
        for part in parts[1:]:
            image = builder.binary("MAXIMUM", image, part)
    return image


def _picked(window: Window, axis: int, *, size: int, out: int) -> list[list[int]]:
    """Return for each cell of the kernel which rows it sees; outside, another of its window's."""
    starts = np.arange(out) * window.strides[axis] - window.pads[axis][0]
    places = starts[None] + np.arange(window.kernel[axis])[:, None] * window.dilations[axis]
    inside = (places >= 0) & (places < size)  # (kernel, out)
    if not inside.any(axis=0).all():
        raise ValueError("a window of a pool lies in the padding alone")
    instead = np.take_along_axis(places, inside.argmax(axis=0)[None], axis=0)  # (1, out)
    rows: list[list[int]] = np.where(inside, places, instead).tolist()
    return rows


def average_pool(
    builder: Builder, image: str, window: Window, *, counted_pads: tuple[Pair, Pair] = NO_PADS
) -> str:
    """Add a mean over windows, in which the zeros of `counted_pads` count, and no other padding."""
    size_hw = builder.shape(image)[1:3]
    shape = (1, *window.out_hw(size_hw), builder.shape(image)[3])
    if counted_pads == NO_PADS and window.word(size_hw) == "SAME":
        return builder.add("AVERAGE_POOL_2D", [image], shape, **window.options("SAME"))
    padded = builder.pad(image, [(0, 0), *window.fitted(size_hw).pads, (0, 0)])
    made = builder.add("AVERAGE_POOL_2D", [padded], shape, **window.options("VALID"))
    rows, columns = (
        _counted(window, axis, size=size_hw[axis], pads=counted_pads[axis], out=shape[axis + 1])
        for axis in (0, 1)
    )
    share = (rows[:, None] * columns[None])[None, :, :, None]  # (1, H, W, 1)
    if (share == 1).all():
        return made
    return builder.binary("MUL", made, builder.constant(1 / share))


def _counted(window: Window, axis: int, *, size: int, pads: Pair, out: int) -> NDArray[np.float64]:
    """Return the share of each window's cells along an axis that the mean divides by."""
    starts = np.arange(out) * window.strides[axis] - window.pads[axis][0]
    places = starts[:, None] + np.arange(window.kernel[axis])  # (out, kernel)
    inside = (places >= -pads[0]) & (places < size + pads[1])
    shares: NDArray[np.float64] = inside.mean(axis=1)
    return shares

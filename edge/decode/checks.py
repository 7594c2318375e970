"""Whether a described head fits the outputs of its model: what the kinds of heads share.

What is refused would fail on the first frame, or lie on every one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Collection

    from edge.model.description import Description
    from edge.model.spec import ModelSpec, TensorSpec

LEAST_LEVELS = 16  # of a score: below, the threshold decides nothing
GRID_AXES = 4  # batch, row, column, channel
# What a decoder reads; a class map of `argmax` may have any integers.
RAW_DTYPES = tuple(map(np.dtype, (np.int8, np.uint8, np.int16, np.float16, np.float32)))

WIDE_DTYPES = (np.dtype(np.int32), np.dtype(np.int64))


class Misfit(ValueError):  # noqa: N818 - what does not fit; whoever knows the file makes an error of it
    """The description and the tensors disagree; the text names both sides, but no file."""


def expect_roles(spec: ModelSpec, wanted: set[str], *, head: str) -> None:
    """Refuse other output roles than a head has."""
    if spec.outputs.keys() != wanted:
        raise Misfit(
            f"{head} has the output roles {' and '.join(sorted(wanted))}, the description names "
            f"{', '.join(sorted(spec.outputs)) or 'none'}"
        )


def expect_grid_roles(spec: ModelSpec, named: list[list[str]], *, head: str) -> None:
    """Refuse roles that two outputs of the grids share, and those that do not match the outputs."""
    flat = [role for names in named for role in names]
    shared = sorted(role for role in set(flat) if flat.count(role) > 1)
    if shared:
        raise Misfit(
            f"{head} has output roles of their own for each grid, the description names "
            f"{shared[0]} twice"
        )
    expect_roles(spec, set(flat), head=f"{head} with these grids")


def expect_raw(spec: ModelSpec, *, integers: Collection[str] = ()) -> None:
    """Refuse outputs of a dtype that no decoder reads; those named may be wide integers."""
    for role, output in spec.outputs.items():
        known = RAW_DTYPES + WIDE_DTYPES * (role in integers)
        if output.dtype not in known:
            raise Misfit(
                f"output {role} is {output.dtype}, but a decoder reads {', '.join(map(str, known))}"
            )


def expect_levels(spec: ModelSpec, role: str) -> None:
    """Refuse boxes and scores in one integer tensor whose one scale leaves the scores no levels.

    So exporters quantise joint outputs with boxes in pixels: at a scale of 2.5 every score is 0.
    """
    output = spec.outputs[role]
    if output.dtype.kind in "iu" and output.quant.scale > 1 / LEAST_LEVELS:
        raise Misfit(
            f"output {role} has one scale, {output.quant.scale:.3g}, for boxes and scores, which "
            f"leaves a score in 0 to 1 {1 + int(1 / output.quant.scale)} of {LEAST_LEVELS} levels; "
            "export it with boxes as ratios or with float outputs, or convert it with edge-convert"
        )


def expect_no_anchors(description: Description) -> None:
    """Refuse anchors of their own beside a head that has none, or has them in its schema."""
    if description.anchors is not None:
        raise Misfit(
            "only an SSD head has anchors in a file of their own, the head is "
            f"{description.head.kind}"
        )


def expect_shape(spec: ModelSpec, role: str, shape: tuple[int, ...], *, reason: str) -> None:
    """Refuse an output of another shape than the head needs."""
    if spec.outputs[role].shape != shape:
        raise Misfit(f"output {role} is {spec.outputs[role].shape}, but {reason} need {shape}")


def grid_cells(role: str, output: TensorSpec) -> tuple[int, int]:
    """Return the rows and columns of a grid."""
    if len(output.shape) != GRID_AXES or min(output.shape) < 1:
        raise Misfit(f"output {role} is {output.shape}, but a grid is (1, rows, columns, channels)")
    return output.shape[1], output.shape[2]


def cells_text(output: TensorSpec) -> str:
    """Return the width and height of a grid for people."""
    return f"{output.shape[2]} x {output.shape[1]}"

"""The contract of one loaded model: its manifest joined with what the file's own tensors say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge import segmentation_spec
from edge.errors import ModelError
from edge.heads import SegmentationHead, SsdHead

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge.manifest import Manifest, ModelFile
    from edge.quant import Quant

BOX_SIDES = 4
SSD_AXES = 3  # batch, anchor, and box side or class


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output tensor, as the file describes it.

    Attributes:
        name: The interpreter's name of it.
        index: The interpreter's number of it.
        shape: Static shape, batch first.
        dtype: Element type.
        quant: Per-tensor quantisation; `Quant()` for float tensors.
    """

    name: str
    index: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    quant: Quant


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What decode and preprocess need to know; consistent, or it would not exist.

    Attributes:
        manifest: The description that travelled with the file.
        input: The only input, `(1, H, W, 3)`.
        outputs: Output role to tensor.
        anchors: `(A, 4)` float32 normalised centre-size, or `None`.
    """

    manifest: Manifest
    input: TensorSpec
    outputs: dict[str, TensorSpec]
    anchors: NDArray[np.float32] | None


def join(file: ModelFile, inputs: list[TensorSpec], outputs: list[TensorSpec]) -> ModelSpec:
    """Match a manifest with the tensors of its model.

    Raises:
        ModelError: They disagree; the message names both sides.
    """
    manifest, path = file.manifest, file.path
    width, height = manifest.input.size_wh
    expected = (1, height, width, 3)
    if len(inputs) != 1 or inputs[0].shape != expected:
        found = ", ".join(str(spec.shape) for spec in inputs)
        raise ModelError(
            f"{path}: input is {found}, but the manifest says {expected}; convert the model again"
        )
    by_name = {spec.name: spec for spec in outputs}
    missing = sorted(set(manifest.outputs.values()) - by_name.keys())
    if missing:
        raise ModelError(
            f"{path}: the manifest names output {missing[0]!r}, the model has "
            f"{', '.join(map(repr, sorted(by_name)))}; convert the model again"
        )
    roles = {role: by_name[name] for role, name in manifest.outputs.items()}
    if isinstance(manifest.head, SsdHead):
        _check_ssd(file, manifest.head, roles)
    elif isinstance(manifest.head, SegmentationHead):
        segmentation_spec.check(file, manifest.head, roles)
    return ModelSpec(manifest, inputs[0], roles, file.anchors)


def _check_ssd(file: ModelFile, head: SsdHead, roles: dict[str, TensorSpec]) -> None:
    if roles.keys() != {"boxes", "scores"}:
        raise ModelError(
            f"{file.path}: an SSD head has the output roles boxes and scores, the manifest names "
            f"{', '.join(sorted(roles)) or 'none'}; convert the model again"
        )
    anchors = 0 if file.anchors is None else len(file.anchors)
    columns = len(file.manifest.labels) + head.background
    _expect_shape(file, "boxes", roles["boxes"], shape=(1, anchors, BOX_SIDES))
    found = roles["scores"].shape
    if len(found) == SSD_AXES and found[-1] != columns:
        background = " and background" if head.background else ""
        raise ModelError(
            f"{file.path}: the manifest has {len(file.manifest.labels)} labels, but the scores "
            f"have {found[-1]} columns, expected {columns} (labels{background}); "
            "fix the labels and convert the model again"
        )
    _expect_shape(file, "scores", roles["scores"], shape=(1, anchors, columns))


def _expect_shape(file: ModelFile, role: str, spec: TensorSpec, *, shape: tuple[int, ...]) -> None:
    if spec.shape != shape:
        raise ModelError(
            f"{file.path}: output {role} is {spec.shape}, but the head and its anchors need "
            f"{shape}; convert the model again"
        )

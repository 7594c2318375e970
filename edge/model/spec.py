"""The contract of one loaded model: its manifest joined with what the file's own tensors say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edge.errors import ModelError
from edge.model import head_checks

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edge.model.manifest import Manifest, ModelFile
    from edge.model.quant import Quant


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
        anchors: `(A, 4)` float32 normalised centre-size, or `None` where the head has none.
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
    head_checks.check(file, roles)
    return ModelSpec(manifest, inputs[0], roles, file.anchors)

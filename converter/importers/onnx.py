"""Import an ONNX detector or segmenter: YOLOv5 to v11, YOLOX, U-Net-like maps.

The maintained converters pin every package that they share with TensorFlow and litert-quantizer
(onnx2tf 2.6: NumPy, protobuf, ai-edge-litert to the patch), so none can stand beside them. The
operations of these nets are few; each import is compared with onnxruntime.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from converter.draft import Draft, check_channels
from converter.graph.edits import renamed
from converter.graph.writing import write
from converter.importers import onnx_file, onnx_runtime
from converter.importers.onnx_heads import find_segmentation, find_yolo
from converter.importers.onnx_ops import translate
from edge.errors import ConfigError, ModelError
from edge.model.description import InputTransform

if TYPE_CHECKING:
    from pathlib import Path

    from converter.graph.values import Graph
    from converter.importers.onnx_file import OnnxModel
    from edge.model.description import HeadSchema

FEED = "input"
FINDERS = {"yolo": find_yolo, "unet": find_segmentation}
# Ultralytics and the YOLOv5 repository write both, and train on RGB over 255, letterboxed with 114.
ULTRALYTICS_KEYS = {"stride", "names"}
# What a graph of damaged bytes raises.
MALFORMED = (
    ModelError, KeyError, ValueError, TypeError, IndexError, ZeroDivisionError, AttributeError,
    OverflowError, MemoryError, StopIteration, RecursionError,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class OnnxCut:
    """A model up to its raw heads.

    Attributes:
        model: The whole file.
        graph: Up to the heads, its outputs named by their roles.
        fetches: Output role to the ONNX value and the order of its axes in the graph.
        head: What they mean.
    """

    model: OnnxModel
    graph: Graph
    fetches: dict[str, tuple[str, tuple[int, ...]]]
    head: HeadSchema


def import_onnx(path: Path, *, family: str) -> Draft:
    """Return the float model of an ONNX file, cut at its raw heads.

    Args:
        path: The file.
        family: `yolo` or `unet`.

    Raises:
        ConfigError: No importer for that family.
        ModelError: The file is damaged, foreign, or not of that family; or onnxruntime gives other
            heads.
        DependencyError: The package onnx is not installed.
    """
    cut = read_cut(path, family=family)
    model = cut.model
    _, height, width, _ = model.input_shape
    flatbuffer = write(cut.graph)
    checked = onnx_runtime.checked(flatbuffer, model, cut.fetches, path=path)
    return Draft(
        flatbuffer=flatbuffer,
        size_wh=(width, height),
        head=cut.head,
        outputs={role: role for role in cut.fetches},
        transform=_transform(model, (width, height)) if family == "yolo" else None,
        labels=_labels(model),
        changes=f"cut at the raw heads; decode and suppression left to the runtime; {checked}",
    )


def read_cut(path: Path, *, family: str) -> OnnxCut:
    """Return a file's graph up to the raw heads.

    Raises:
        ConfigError: No importer for that family.
        ModelError: The file is damaged, foreign, or not of that family.
        DependencyError: The package onnx is not installed.
    """
    if family not in FINDERS:
        raise ConfigError(
            f"expected --family {' or '.join(FINDERS)} for an ONNX file, found {family!r}"
        )
    model = onnx_file.read(path)
    check_channels(model.input_shape[3], path)
    try:
        found = FINDERS[family](model, path)
        graph, made = translate(model, tuple(found.fetches.values()), feed=FEED)
    except MALFORMED as error:
        if isinstance(error, ModelError):
            raise ModelError(f"{path}: {str(error).removeprefix(f'{path}: ')}") from error
        raise ModelError(
            f"{path}: expected a graph whose nodes fit each other, found one that does not "
            f"({type(error).__name__}: {error}); export the model again"
        ) from error
    return OnnxCut(
        model=model,
        graph=renamed(graph, {made[value].name: role for role, value in found.fetches.items()}),
        fetches={role: (value, made[value].order) for role, value in found.fetches.items()},
        head=found.head,
    )


def _transform(model: OnnxModel, size_wh: tuple[int, int]) -> InputTransform | None:
    if not model.metadata.keys() >= ULTRALYTICS_KEYS:
        return None
    return InputTransform(
        size_wh=size_wh, color="rgb", mean=(0, 0, 0), std=(255, 255, 255), resize="letterbox"
    )


def _labels(model: OnnxModel) -> tuple[str, ...] | None:
    """Return the labels of Ultralytics' metadata, a Python dict of numbers and names."""
    try:
        names = ast.literal_eval(model.metadata.get("names", ""))
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return None
    if not isinstance(names, dict) or sorted(names) != list(range(len(names))):
        return None
    return tuple(str(names[number]) for number in range(len(names)))

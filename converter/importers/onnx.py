"""Import an ONNX detector or segmenter: YOLOv5 to v11, YOLOX, U-Net-like maps.

The maintained converters pin every package that they share with TensorFlow and litert-quantizer
(onnx2tf 2.6: NumPy, protobuf, ai-edge-litert to the patch), so none can stand beside them. The
operations of these nets are few; each import is compared with onnxruntime in the tests.
"""

from __future__ import annotations

import ast
from dataclasses import dataclass
from typing import TYPE_CHECKING

from converter.draft import Draft
from converter.importers import onnx_file
from converter.importers.onnx_heads import find_segmentation, find_yolo
from converter.importers.onnx_ops import translate
from converter.lowering import lower
from edge.errors import ConfigError, ModelError
from edge.model.description import InputTransform

if TYPE_CHECKING:
    from pathlib import Path

    from converter.graphdef import Graph
    from converter.importers.onnx_file import OnnxModel
    from edge.model.description import HeadSchema

FEED = "image"
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
        graph: TensorFlow's, up to the heads; its input node is `FEED`.
        fetches: Output role to node.
        head: What they mean.
    """

    model: OnnxModel
    graph: Graph
    fetches: dict[str, str]
    head: HeadSchema


def import_onnx(path: Path, *, family: str) -> Draft:
    """Return the float model of an ONNX file, cut at its raw heads.

    Args:
        path: The file.
        family: `yolo` or `unet`.

    Raises:
        ConfigError: No importer for that family.
        ModelError: The file is damaged, foreign, or not of that family.
        DependencyError: The package onnx or TensorFlow is not installed.
    """
    cut = read_cut(path, family=family)
    model = cut.model
    _, _, height, width = model.shapes[model.input]
    lowered = lower(
        cut.graph,
        feed=FEED,
        fetches=cut.fetches,
        shape=(1, height, width, 3),
    )
    return Draft(
        flatbuffer=lowered.flatbuffer,
        size_wh=(width, height),
        head=cut.head,
        outputs={role: role for role in cut.fetches},
        transform=_transform(model, (width, height)) if family == "yolo" else None,
        labels=_labels(model),
        changes=lowered.describe(
            "cut at the raw heads; decode and suppression left to the runtime"
        ),
    )


def read_cut(path: Path, *, family: str) -> OnnxCut:
    """Return a file's graph up to the raw heads; TensorFlow is not needed.

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
        graph=graph,
        fetches={role: made[value] for role, value in found.fetches.items()},
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

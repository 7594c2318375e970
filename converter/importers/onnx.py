"""Import an ONNX detector or segmenter: YOLOv5 to v11, YOLOX, U-Net-like maps.

The maintained converters pin every package that they share with TensorFlow and litert-quantizer
(onnx2tf 2.6: NumPy, protobuf, ai-edge-litert to the patch), so none can stand beside them. The
operations of these nets are few; each import is compared with onnxruntime.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from converter.draft import check_channels
from converter.importers import onnx_file, onnx_runtime, ultralytics
from converter.importers.heads.finder import family_of, find
from converter.importers.normalisation import without_normalisation
from converter.importers.onnx_ops import MALFORMED, WAY_OUT, refuse_unread, translate
from edge.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from converter.choice import Choice
    from converter.draft import Draft
    from converter.graph.values import Graph
    from converter.importers.onnx_file import OnnxModel
    from converter.importers.onnx_values import Order

FEED = "input"


def import_onnx(path: Path, *, family: str | None, choice: Choice) -> Draft:
    """Return the float model of an ONNX file, cut at its raw heads.

    Args:
        path: The file.
        family: What it shall become; `None` takes what its structure tells.
        choice: What the person says.

    Raises:
        ConfigError: It is of another family, or something is not said.
        ModelError: The file is damaged, foreign, or not of that family; or onnxruntime gives other
            heads.
        DependencyError: The package onnx is not installed.
    """
    model, graph, orders = read_graph(path)
    found = find_heads(graph, path, family=family, choice=choice)
    part, own = without_normalisation(found.graph)
    inner = [tensor for tensor, _ in found.sources.values() if tensor not in orders]
    fetches = {
        role: onnx_runtime.Fetch(tensor, orders[tensor], channels)
        for role, (tensor, channels) in found.sources.items()
        if not inner
    }
    checked = (
        f"import not checked, as the file has no value that is {inner[0]}"
        if inner
        else onnx_runtime.checked(part, model, fetches, path=path, own=own)
    )
    return replace(
        found,
        graph=part,
        transform=own or ultralytics.transform_of(model.metadata, found.size_wh),
        labels=ultralytics.labels_of(model.metadata),
        changes=f"{found.changes}; {checked}",
    )


def told_family(path: Path) -> tuple[str | None, str]:
    """Return the family that a file's structure tells, or `None`, and why.

    Raises:
        ModelError: The file is damaged or foreign.
        DependencyError: The package onnx is not installed.
    """
    return family_of(read_graph(path)[1])


def read_graph(path: Path) -> tuple[OnnxModel, Graph, dict[str, Order]]:
    """Return a file, its whole graph with its decode, and how the tensors are laid out in it.

    Raises:
        ModelError: The file is damaged or foreign.
        DependencyError: The package onnx is not installed.
    """
    model = onnx_file.read(path)
    check_channels(model.input_shape[3], path)
    try:
        return (model, *translate(model, feed=FEED))
    except MALFORMED as error:
        raise ModelError(
            f"{path}: expected a graph whose nodes fit each other, found one that does not "
            f"({type(error).__name__}: {error}); export the model again"
        ) from error


def find_heads(graph: Graph, path: Path, *, family: str | None, choice: Choice) -> Draft:
    """Return a graph up to its raw heads, all of whose operations are read.

    Raises:
        ConfigError: It is of another family, or something is not said.
        ModelError: It is not of that family, or an operation before its heads is not read.
    """
    unread = ", ".join(sorted({op.kind for op in graph.ops if op.custom is not None}))
    try:
        found = find(graph, path, family=family, choice=choice)
    except ModelError as error:
        if not unread:
            raise
        raise ModelError(f"{error}; of its operations {unread} is not read; {WAY_OUT}") from error
    try:
        refuse_unread(found.graph)
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from error
    return found

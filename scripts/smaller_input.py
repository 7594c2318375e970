"""Nets of the development assets at a smaller input: what pruning has to beat."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from converter import export
from converter.graph.edits import with_values
from converter.graph.reading import read
from converter.graph.writing import write
from edge.model.backends.litert import runtime_module
from edge.model.model_file import ModelFile

if TYPE_CHECKING:
    from pathlib import Path

    from converter.graph.values import Graph, Op

BOX = 4


def smaller_darknet(cfg: Path, side: int, folder: Path) -> Path:
    """Write a Darknet configuration with another input, and return its path; the weights fit."""
    text = cfg.read_text("utf-8")
    for key in ("width", "height"):
        text, count = re.subn(rf"(?m)^{key}\s*=\s*\d+", f"{key}={side}", text, count=1)
        if not count:
            raise ValueError(f"{cfg}: expected {key}=, found none")
    path = folder / f"{cfg.stem}.{side}.cfg"
    path.write_text(text, "utf-8")
    return path


def smaller_ssd(file: ModelFile, side: int) -> ModelFile:
    """Return a float SSD at another input: the shapes of its graph, and anchors on its new grids.

    Each anchor keeps its height and width as parts of the picture, as the net was trained.
    """
    whole = read(file.flatbuffer, file.path)
    small = _resized(whole, side)
    anchors = file.description.anchors
    if anchors is None:
        raise ValueError(f"{file.path}: expected the anchors of an SSD, found none")
    found, start = [], 0
    for op in _grids(whole):
        height, width = whole.shape(op.inputs[0])[1:3]
        rows = whole.shape(op.output)[1]
        sizes = anchors[start : start + rows].reshape(height * width, -1, BOX)[0, :, 2:]
        high, wide = small.shape(op.inputs[0])[1:3]
        y, x = (np.arange(count) for count in (high, wide))
        centres = np.stack(np.meshgrid((y + 0.5) / high, (x + 0.5) / wide, indexing="ij"), axis=-1)
        places = np.repeat(centres.reshape(-1, 1, 2), len(sizes), axis=1)
        found.append(np.concatenate([places, np.broadcast_to(sizes, places.shape)], axis=-1))
        start += rows
    made = np.concatenate([grid.reshape(-1, BOX) for grid in found]).astype(np.float32)
    before = file.own_manifest()
    manifest = before.replace(
        input=before.input.replace(size_wh=(side, side)),
        provenance=export.one_step_on(before.provenance, f"input {side}x{side}", tools={}),
    )
    return export.sealed(ModelFile.of(file.path, write(small), manifest, anchors=made), manifest)


def _grids(graph: Graph) -> list[Op]:
    """Return what flattens the boxes of each grid, in the order of the anchors."""
    joined = next(
        op for op in graph.ops if op.kind == "CONCATENATION" and graph.shape(op.output)[-1] == BOX
    )
    return [graph.producers[name] for name in joined.inputs]


def _resized(graph: Graph, side: int) -> Graph:
    """Return the graph with the shapes that the runtime gives it for another input."""
    ends = {op.inputs[1] for op in graph.ops if op.kind == "RESHAPE"}
    opened = {name: np.where(np.arange(len(value)) == 1, -1, value).astype(np.int32)
              for name in ends if -1 not in (value := graph.value(name))}  # fmt: skip
    graph = with_values(graph, opened)
    module = runtime_module()
    runtime = module.Interpreter(
        model_content=write(graph),
        experimental_op_resolver_type=module.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
    )
    place = runtime.get_input_details()[0]["index"]
    runtime.resize_tensor_input(place, (1, side, side, 3), strict=False)
    runtime.allocate_tensors()
    shapes = {row["name"]: tuple(map(int, row["shape"])) for row in runtime.get_tensor_details()}
    tensors = {
        name: tensor
        if tensor.value is not None or name not in shapes
        else replace(tensor, shape=shapes[name])
        for name, tensor in graph.tensors.items()
    }
    return replace(graph, tensors=tensors)

"""The same net at another input: every size in the graph, the anchors and the manifest follow.

Op by op the runtime itself says what shape comes out of the new one; what tells sizes in numbers
(reshapes, targets of a resize, ends of a slice) is rewritten before. What cannot follow, such as a
layer that reads every place of a picture, is refused with its name.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from converter import export
from converter.graph.edits import free_name
from converter.graph.folding import folded
from converter.graph.reading import read
from converter.graph.values import ABSENT, Graph, Op, Tensor
from converter.graph.writing import write
from converter.prune.anchors import IMAGE, moved
from converter.prune.tracing import numbers
from converter.quantize.quantization import refuse_quantized
from edge.decode.anomaly import AnomalyHead
from edge.errors import ModelError
from edge.model.backends.litert import open_interpreter, runtime_module
from edge.model.loaded import load_model
from edge.model.model_file import ModelFile

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    Shape = tuple[int, ...]
    Told = dict[int, list[int]]


class Unsized(ValueError):  # noqa: N818 - becomes a sentence with the op's name
    """Numbers of an op that no rule can follow to another size."""


def with_input(file: ModelFile, size_wh: tuple[int, int]) -> ModelFile:
    """Return a float model at another input; weights, strides and the sides of anchors stay.

    Raises:
        ModelError: It is quantised, or something in it holds for its own size only.
    """
    refuse_quantized(file)
    described = file.description
    if isinstance(described.head, AnomalyHead):
        raise ModelError(
            f"{file.path}: expected a model whose scores hold at any input, found an autoencoder, "
            "whose threshold is of its own; train it at that size"
        )
    whole = folded(read(file.flatbuffer, file.path))
    _check_stride(whole, file.path, before=described.input.size_wh, after=size_wh)
    small = resized(whole, size_wh, path=file.path)
    manifest = file.own_manifest()
    before, after = ("x".join(map(str, sides)) for sides in (manifest.input.size_wh, size_wh))
    step = f"input {after} instead of {before}"
    manifest = manifest.replace(
        input=manifest.input.replace(size_wh=size_wh),
        provenance=export.one_step_on(manifest.provenance, step, tools={}),
    )
    anchors = None
    if described.anchors is not None:
        anchors = moved(described.anchors, (whole, small), described.outputs["boxes"])
        if anchors is None:
            raise _refusal(file.path, "anchors that do not lie in the middle of their cells")
    made = ModelFile.of(file.path, write(small), manifest, anchors=anchors)
    load_model(made)  # its head must fit what comes out
    return export.sealed(made, manifest)


def stride_of(graph: Graph) -> int:
    """Return the coarsest step of what a graph's outputs tell of its input, 1 where none does."""
    side = graph.shape(graph.inputs[0])[1]
    grids = {graph.shape(name)[1] for name in graph.outputs if len(graph.shape(name)) == IMAGE}
    return max((side // grid for grid in grids if side % grid == 0), default=1)


def _check_stride(
    graph: Graph, path: Path, *, before: tuple[int, int], after: tuple[int, int]
) -> None:
    stride = stride_of(graph)
    if any(side % stride for side in after):
        low = [max(stride, side // stride * stride) for side in after]
        near = " and ".join(dict.fromkeys(f"{side}" for side in (low[0], low[0] + stride)))
        raise ModelError(
            f"{path}: expected an input of whole cells of {stride} pixels, as its own "
            f"{before[0]}x{before[1]} has, found {after[0]}x{after[1]}; near are {near}"
        )


def resized(graph: Graph, size_wh: tuple[int, int], *, path: Path) -> Graph:
    """Return the graph of an input of this size; raises `ModelError` as `with_input`."""
    (name,) = graph.inputs
    batch, _, _, channels = graph.shape(name)
    state = _State(graph, dict(graph.tensors))
    state.set(name, (batch, size_wh[1], size_wh[0], channels))
    ops = []
    for op in graph.ops:
        try:
            told = TOLD[op.kind](state, op) if op.kind in TOLD else {}
            made = state.rewritten(op, told)
            shapes = _shapes(state, made, path)
            for output in op.outputs:
                state.set(output, shapes[output])
        except (Unsized, ModelError) as error:
            # Of the runtime's sentence, what its kernel said.
            reason = str(error).rpartition("this model: ")[2].partition("Node number")[0].strip()
            reason = reason or "too small for what it reads"
            raise _refusal(path, f"{op.kind} for {op.output!r}: {reason}") from error
        ops.append(made)
    return replace(graph, tensors=state.tensors, ops=tuple(ops))


def _refusal(path: Path, found: str) -> ModelError:
    return ModelError(
        f"{path}: expected a net that runs at any input, found {found}; keep its own input size"
    )


class _State:
    """A graph on its way to another size.

    Args:
        graph: As it was.
        tensors: With the new shapes, up to the op that is at work.
    """

    def __init__(self, graph: Graph, tensors: dict[str, Tensor]) -> None:
        self.graph, self.tensors = graph, tensors
        self._moved: dict[Shape, set[Shape]] = {}

    def set(self, name: str, shape: Shape) -> None:
        """Note the new shape of a tensor; places of a picture are no further pictures."""
        old = self.graph.shape(name)
        if len(shape) != len(old) or shape[0] != old[0]:
            raise Unsized(f"it would make {shape} of what was {old}")
        self.tensors[name] = replace(self.tensors[name], shape=shape)
        if len(old) == IMAGE:
            self._moved.setdefault(old[1:3], set()).add(shape[1:3])

    def pair(self, name: str) -> tuple[Shape, Shape]:
        """Return the old and the new shape of a tensor."""
        return self.graph.shape(name), self.tensors[name].shape

    def side(self, target: Shape, source: str) -> Shape:
        """Return what a size becomes: that of a tensor that had it, or as many times its source."""
        found = self._moved.get(target, set())
        if len(found) == 1:
            return next(iter(found))
        old, new = (shape[1:3] for shape in self.pair(source))
        if any(a % b for a, b in zip(target, old, strict=True)):
            raise Unsized(f"nothing tells what {target} becomes")
        return tuple(a // b * c for a, b, c in zip(target, old, new, strict=True))

    def rewritten(self, op: Op, told: Mapping[int, list[int]]) -> Op:
        """Return an op with other numbers at some of its inputs; new tensors are noted."""
        inputs = list(op.inputs)
        for place, values in told.items():
            value = np.array(values, np.int32)
            if place >= len(inputs) or numbers(self.graph, inputs[place]) == values:
                continue
            name = free_name(replace(self.graph, tensors=self.tensors), f"{op.output}/{place}")
            self.tensors[name] = Tensor(name, value.shape, "int32", value)
            inputs[place] = name
        options = dict(op.options)
        if op.kind == "SLICE":  # its kernel wants the shape that it will make
            parts = zip(told[2], self.tensors[op.inputs[0]].shape, strict=True)
            made = tuple(each if part < 0 else part for part, each in parts)
            self.tensors[op.output] = replace(self.tensors[op.output], shape=made)
        if op.kind == "RESHAPE" and 1 in told:
            options["newShape"] = tuple(told[1])
        if op.kind.endswith("POOL_2D"):
            old, new = (shape[1:3] for shape in self.pair(op.inputs[0]))
            if (options["filterHeight"], options["filterWidth"]) == old != (1, 1):
                options["filterHeight"], options["filterWidth"] = new
        return replace(op, inputs=tuple(inputs), options=options)


def _shapes(state: _State, op: Op, path: Path) -> dict[str, Shape]:
    """Return the shapes that the runtime gives to what one op makes."""
    names = dict.fromkeys(name for name in (*op.inputs, *op.outputs) if name != ABSENT)
    tensors = {name: state.tensors[name] for name in names}
    read_ = tuple(name for name in names if name not in op.outputs and tensors[name].value is None)
    alone = Graph(tensors, (op,), read_, op.outputs)
    plain = runtime_module().OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    runtime = open_interpreter(write(alone), path, threads=1, experimental_op_resolver_type=plain)
    rows = runtime.get_output_details()
    return {name: tuple(map(int, row["shape"])) for name, row in zip(op.outputs, rows, strict=True)}


def _reshape(state: _State, op: Op) -> Told:
    """The size that held the places of the picture holds the new ones."""
    old, new = state.pair(op.inputs[0])
    shape, size = list(state.graph.shape(op.output)), math.prod(new)
    if math.prod(old) == size:
        return {1: shape}
    changed = [(a, b) for a, b in zip(old, new, strict=True) if a != b]
    swaps = dict(changed)
    sides = [[swaps.get(each, each) for each in shape]] if 1 not in swaps else []
    before, after = (math.prod(each) for each in zip(*changed, strict=True))
    sides += [
        [*shape[:place], shape[place] // before * after, *shape[place + 1 :]]
        for place in range(1, len(shape))
        if shape[place] % before == 0
    ]
    found = next((each for each in sides if math.prod(each) == size), None)
    if found is None:
        raise Unsized(f"{old} as {tuple(shape)} has no place for {new}")
    return {1: found}


def _resize(state: _State, op: Op) -> Told:
    return {1: list(state.side(state.graph.shape(op.output)[1:3], op.inputs[0]))}


def _transposed(state: _State, op: Op) -> Told:
    batch, *sides, channels = state.graph.shape(op.output)
    return {0: [batch, *state.side(tuple(sides), op.inputs[2]), channels]}


def _slice(state: _State, op: Op) -> Told:
    """A slice up to the end goes on up to it; one that ends elsewhere holds for its size only."""
    old, new = state.pair(op.inputs[0])
    begin, end = (numbers(state.graph, name) for name in op.inputs[1:3])
    if begin is None or end is None:
        raise Unsized("it is told where to cut as it runs")
    is_strided = op.kind == "STRIDED_SLICE"
    for axis, (a, b) in enumerate(zip(old, new, strict=True)):
        if a == b or end[axis] < 0 or (is_strided and op.options.get("endMask", 0) >> axis & 1):
            continue
        if end[axis] + (0 if is_strided else begin[axis]) < a:
            raise Unsized(f"it cuts {a} places at {end[axis]}")
        end[axis] = b if is_strided else b - begin[axis]
    return {2: end}


# What tells sizes in numbers, at the places of an op's inputs.
TOLD: dict[str, Callable[[_State, Op], Told]] = {
    "RESHAPE": _reshape,
    "RESIZE_BILINEAR": _resize,
    "RESIZE_NEAREST_NEIGHBOR": _resize,
    "TRANSPOSE_CONV": _transposed,
    "SLICE": _slice,
    "STRIDED_SLICE": _slice,
}

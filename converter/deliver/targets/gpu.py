"""A file for the GPU delegate: float16 weights, shapes known beforehand, no custom ops."""

from __future__ import annotations

from typing import TYPE_CHECKING

from converter import export
from converter.graph.reading import read
from converter.quantize.quantization import refuse_quantized
from converter.quantize.quantize import TOOLS, quantize
from converter.quantize.recipe import load_recipe
from edge.errors import ModelError
from edge.model.model_file import ModelFile
from edge.terminal.version import versions

if TYPE_CHECKING:
    from pathlib import Path

    from converter.graph.values import Graph
    from edge.model.readers.manifest import Manifest


def make_float16(file: ModelFile) -> ModelFile:
    """Return the float16 file of a float model.

    Raises:
        ModelError: The model is quantised already, has a custom op, or a shape that is only known
            when it runs.
    """
    refuse_quantized(file)
    graph = read(file.flatbuffer, file.path)
    _refuse_unfit(graph, file.path)
    recipe = load_recipe("float16")
    made = quantize(graph, {}, recipe, path=file.path)
    before = file.own_manifest().provenance
    tools = before.tools | versions((*export.QUANTIZE_TOOLS, *TOOLS[made.quantizer]))
    provenance = before.replace(
        recipe=recipe.name,
        tools=dict(sorted(tools.items())),
        changes=f"{before.changes}; {made.describe(recipe)}",
    )
    manifest: Manifest = file.own_manifest().replace(provenance=provenance)
    return export.sealed(
        ModelFile.of(file.path, made.flatbuffer, manifest, anchors=file.description.anchors),
        manifest,
    )


def _refuse_unfit(graph: Graph, path: Path) -> None:
    for op in graph.ops:
        if op.custom is not None:
            raise ModelError(
                f"{path}: op {op.kind!r} is a custom one, which a GPU delegate does not "
                "have; export the model with builtin ops"
            )
    for tensor in graph.tensors.values():
        if tensor.open_axes:
            raise ModelError(
                f"{path}: the shape of {tensor.name!r} is only known when the model runs; "
                "export it with a fixed batch and image size"
            )

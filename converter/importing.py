"""Import a float model of a known family: read, cut at the raw heads, lower, describe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from converter import export
from converter.coco_labels import COCO_LABELS
from converter.importers import tfjs
from converter.importers.ssd_graph import SsdCut, find_ssd
from converter.lowering import Lowered, lower
from edge import manifest as manifests
from edge.errors import ConfigError, ModelError
from edge.manifest import Manifest, ModelFile, Provenance

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from converter.graph import Graph

FAMILIES = ("ssd",)
FLOAT_RECIPE = "float32"


@dataclass(frozen=True, slots=True)
class Origin:
    """What the person who converts says of the weights, for the manifest."""

    name: str
    source: str
    license: str = "not stated"
    labels: tuple[str, ...] = COCO_LABELS


def import_model(path: Path, *, family: str, origin: Origin) -> ModelFile:
    """Return a float model file made of a TF.js `model.json`, or of a float `.tflite` of ours.

    Args:
        path: The model; a `.tflite` keeps the manifest it has.
        family: One of `FAMILIES`.
        origin: For the manifest.

    Raises:
        ConfigError: There is no such family.
        ModelError: The model is missing, damaged, foreign, or not of that family.
        DependencyError: TensorFlow is not installed.
    """
    if family not in FAMILIES:
        raise ConfigError(f"expected a family, one of {', '.join(FAMILIES)}, found {family!r}")
    if path.suffix == ".tflite":
        return manifests.read(path)
    graph = tfjs.read(path)
    cut = find_ssd(graph)
    return describe(path, cut, lower_ssd(graph, cut).flatbuffer, origin=origin)


def lower_ssd(graph: Graph, cut: SsdCut, *, inputs: NDArray[np.float32] | None = None) -> Lowered:
    """Lower an SSD between its cuts; `inputs` `(N, H, W, 3)` are run through the original graph."""
    width, height = cut.transform.size_wh
    shape = (1, height, width, 3)
    return lower(graph, feed=cut.feed, fetches=cut.fetches, shape=shape, inputs=inputs)


def describe(path: Path, cut: SsdCut, flatbuffer: bytes, *, origin: Origin) -> ModelFile:
    """Return the float model file: the FlatBuffer with its manifest."""
    manifest = Manifest(
        name=origin.name,
        input=cut.transform,
        outputs={role: role for role in cut.fetches},
        head=cut.head,
        labels=origin.labels,
        provenance=Provenance(
            source=origin.source,
            license=origin.license,
            changes="cut at the raw heads; resize, decode and suppression left to the runtime",
            recipe=FLOAT_RECIPE,
            seed=0,
            tools=export.tool_versions(export.IMPORT_TOOLS),
        ),
    )
    bare = ModelFile(path, flatbuffer, manifest, cut.anchors)
    return export.sealed(bare, manifest)


def read_labels(path: Path) -> tuple[str, ...]:
    """Return the labels in a text file, one a line; an empty line keeps an unused id.

    Raises:
        ModelError: The file cannot be read, or is no text.
    """
    try:
        return tuple(line.strip() for line in path.read_text("utf-8").splitlines())
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(
            f"{path}: expected a text file with one label a line, which cannot be read: {error}"
        ) from error

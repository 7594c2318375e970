"""Freeze a Keras file or a SavedModel into one graph, in a child process, after safety checks."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from converter.child import run_child
from converter.graphdef_schema import parse
from converter.importers import frozen_graph
from converter.importers.keras_config import check_keras_archive
from edge.errors import ModelError

if TYPE_CHECKING:
    from converter.graphdef import Graph

FROZEN, REFUSED, JOB = "frozen.pb", "refused.txt", "freeze.json"
SAVED_MODEL = "saved_model.pb"
SAVERS = ("SaveV2", "MergeV2Checkpoints")


def freeze(path: Path) -> Graph:
    """Return the graph of a `.keras`, `.h5` or SavedModel folder, its variables as constants.

    Raises:
        ModelError: It is missing, damaged or unsafe, or TensorFlow cannot load it.
        DependencyError: TensorFlow is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="edge-convert-") as name:
        folder = Path(name)
        source = _checked(path, folder)
        (folder / JOB).write_text(json.dumps({"path": str(source), "name": str(path)}))
        try:
            run_child("converter.freezing_child", folder, purpose=f"load {path.name}")
        except ModelError as error:
            refused = folder / REFUSED
            if refused.exists():
                raise ModelError(refused.read_text("utf-8")) from error
            raise
        data = (folder / FROZEN).read_bytes()
    return frozen_graph.read_bytes(data, path)


def _checked(path: Path, folder: Path) -> Path:
    """Refuse what can be told without TensorFlow; return what the child shall load.

    The child itself checks an HDF5 file, whose reader may crash.
    """
    if path.is_dir():
        return _disarmed_copy(path, folder)
    if frozen_graph.file_bytes(path)[:4] == b"PK\x03\x04":
        check_keras_archive(path)
    return path.resolve()


def _disarmed_copy(path: Path, folder: Path) -> Path:
    """Return a SavedModel folder beside whose weights stands the disarmed graph."""
    copy = folder / "model"
    copy.mkdir()
    (copy / SAVED_MODEL).write_bytes(disarmed_saved_model(path / SAVED_MODEL))
    for name in ("variables", "assets"):
        if (path / name).is_dir():
            (copy / name).symlink_to((path / name).resolve())
    return copy


def disarmed_saved_model(path: Path) -> bytes:
    """Return a `saved_model.pb` that can only compute: what it would save with does nothing.

    Raises:
        ModelError: It is damaged, or has another op that reaches beyond the graph.
    """
    try:
        model = parse("SavedModel", frozen_graph.file_bytes(path))
        graphs = [meta.graph_def for meta in model.meta_graphs]
        for graph in graphs:
            for nodes in (graph.node, *(each.node_def for each in graph.library.function)):
                _disarm_inplace(nodes)
            frozen_graph.refuse_unsafe(graph, path)
    except (ValueError, UnicodeDecodeError) as error:
        if isinstance(error, ModelError):
            raise
        raise ModelError(
            f"{path}: expected a SavedModel, found bytes that are damaged; copy the folder again"
        ) from error
    if not any(graph.node for graph in graphs):
        raise ModelError(f"{path}: expected a SavedModel, found no graph in it; export it again")
    return bytes(model.SerializeToString())


def _disarm_inplace(nodes: Any) -> None:  # noqa: ANN401
    """Every SavedModel brings along the ops that wrote its checkpoint."""
    for node in nodes:
        if node.op in SAVERS:
            node.op = "NoOp"
            del node.input[:]
            node.attr.clear()

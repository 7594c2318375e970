"""Who may import whom: tables to read and extend, and the functions that hold modules to them."""

from __future__ import annotations

import ast
import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Of the project's own packages, what each may import besides itself; `edge.x` is that module alone.
PACKAGES = {
    "edge": set[str](),
    "calibration": {"edge"},
    "converter": {"edge", "calibration"},
    "boards": {"edge.terminal", "edge.config", "edge.errors", "edge.record"},
}
NOBODY_IMPORTS = {"tests", "scripts", "factories"}

# Inside `edge`, lowest first: a module imports from its own row and those above it in this table.
# A module stands where its longest pattern does, so that a new file of a folder needs no row.
LAYERS = {
    "values": [
        "__init__", "errors", "record", "faults", "cores", "frame", "results", "sensors",
        "terminal", "backoff", "repeats", "password", "config.toml", "capture.picture",
        "model.spec", "model.quant", "model.description", "model.declared", "model.delegates",
    ],
    "stages": ["capture", "preprocess", "decode"],
    "model": ["heads", "model"],
    "messages": [
        "messages", "draw", "tasks", "config", "stages", "regions",
        "benchmark.result",
    ],
    "sinks": ["sinks"],
    "pipeline": ["pipeline", "publisher", "snapshots", "stats", "homeassistant"],
    "app": [
        "cameras", "parts", "app", "swap", "reload", "commands", "control", "web", "running",
        "service", "homeassistant.following",
    ],
    "tools": ["watching", "demo", "benchmark", "evaluation", "pages", "doctor"],
    "commands": ["verbs", "library", "cli", "__main__"],
}  # fmt: skip
# Folders of `converter`, lowest first: no module of one imports from a folder after it.
CONVERTER = [
    "graph", "importers", "quantize", "judge", "search", "prune", "train", "deliver", "cli",
]  # fmt: skip
# A sink knows what it is handed (messages, its section of the configuration), not who made it.
SINKS_IMPORT = {"errors", "backoff", "repeats", "password", "results", "messages", "config"}

# Packages of others, or a module of one, that stand behind a seam: where each may be imported.
SEAMS = {
    "ai_edge_litert": ["edge.model.backends.litert"],
    "ai_edge_litert.schema_py_generated": ["converter.graph.*"],
    "tflite_runtime": ["edge.model.backends.litert"],
    "tensorrt": ["edge.model.backends.tensorrt"],
    "hailo_platform": ["edge.model.backends.hailort"],
    "cv2": [
        "edge.preprocess", "edge.capture.*", "edge.draw.*", "edge.demo.*", "edge.evaluation.*",
        "edge.regions.*",
        "calibration.*", "converter.*",
    ],
    "paho": ["edge.sinks.mqtt*"],
    "amqtt": ["edge.demo.broker"],
    "tensorflow": ["converter.*"],
    "keras": ["converter.*"],
    "litert_quantizer": ["converter.*"],
    "onnx": ["converter.importers.onnx.*"],
    "onnxruntime": ["edge.model.backends.onnxruntime", "converter.*"],
}  # fmt: skip


def module_name(path: Path, root: Path) -> str:
    """Return the dotted name of a file below the root; a package's is its folder's."""
    parts = list(path.relative_to(root).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def imports(source: str) -> Iterator[tuple[int, str]]:
    """Yield the line and dotted name of every import, those inside functions too.

    A text that is just the name of a seam's module counts: that is how a lazy import names it.
    """
    seam = re.compile(rf"({'|'.join(SEAMS)})(\.\w+)+")
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            # `from edge import nms` names a module in its second half.
            for alias in node.names:
                yield node.lineno, f"{'.' * node.level}{node.module or ''}.{alias.name}"
        elif isinstance(node, ast.Constant) and seam.fullmatch(str(node.value)):
            yield node.lineno, str(node.value)


def faults(source: str, module: str) -> list[str]:
    """Return every import of this module that the tables do not allow."""
    found = []
    for line, name in imports(source):
        reason = (
            _package_fault(module, name)
            or _seam_fault(module, name)
            or _layer_fault(module, name)
            or _folder_fault(module, name)
        )
        if reason:
            found.append(f"{module}:{line}: imports {name}: {reason}")
    return found


def layer_of(inner: str) -> str:
    """Return the layer of a module of `edge`, named without the package; empty if it has none."""
    name = inner
    while name:
        for row, patterns in LAYERS.items():
            if name in patterns:
                return row
        name = name.rpartition(".")[0]
    return ""


def _package_fault(module: str, name: str) -> str:
    own, first = module.partition(".")[0], name.partition(".")[0]
    if not first:
        return "write the full name"
    if first in NOBODY_IMPORTS:
        return "nobody imports that"
    if first not in PACKAGES or first == own:
        return ""
    allowed = any(f"{name}.".startswith(f"{target}.") for target in PACKAGES.get(own, ()))
    return "" if allowed else f"{own} may import {sorted(PACKAGES.get(own, ())) or 'nothing'}"


def _seam_fault(module: str, name: str) -> str:
    found = [seam for seam in SEAMS if f"{name}.".startswith(f"{seam}.")]
    if not found or _matches(module, SEAMS[max(found, key=len)]):
        return ""
    return f"only {', '.join(SEAMS[max(found, key=len)])} may"


def _folder_fault(module: str, name: str) -> str:
    own, theirs = (dotted.split(".")[1:2] for dotted in (module, name))
    if not module.startswith("converter.") or not name.startswith("converter."):
        return ""
    above = CONVERTER[CONVERTER.index(own[0]) + 1 :] if own[0] in CONVERTER else []
    return f"converter.{own[0]} does not know {theirs[0]}" if theirs[0] in above else ""


def _layer_fault(module: str, name: str) -> str:
    if not module.startswith("edge.") or not name.startswith("edge."):
        return ""
    importer, imported = module.partition(".")[2], name.partition(".")[2]
    own, theirs = layer_of(importer), layer_of(imported)
    if not own or not theirs:
        return f"{importer if not own else imported} stands in no layer; add its folder to LAYERS"
    order = list(LAYERS)
    if order.index(theirs) > order.index(own):
        return f"{theirs} is above {own}"
    folder, other = importer.partition(".")[0], imported.partition(".")[0]
    if own == "sinks" and theirs != "sinks" and other not in SINKS_IMPORT:
        return f"sinks import {', '.join(sorted(SINKS_IMPORT))} only"
    if own == theirs == "stages" and folder != other:
        return "stages do not know each other"
    return ""


def _matches(name: str, patterns: list[str]) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in patterns)

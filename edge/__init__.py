"""What a board sees: frames in, results out. `docs/python.md` shows how to use it from Python.

The names in `__all__` may be imported from here, and stay what they are within a major version;
everything else of the package is its own business.
"""

from __future__ import annotations

# Importing `typing` takes 5 ms, in which Ctrl-C still ends a command in a traceback.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from edge.errors import EdgeError as EdgeError
    from edge.library import open_model as open_model
    from edge.library import watch as watch
    from edge.model.loaded import LoadedModel as LoadedModel
    from edge.results.anomaly import Anomaly as Anomaly
    from edge.results.class_map import ClassMap as ClassMap
    from edge.results.classes import Classes as Classes
    from edge.results.detections import Detections as Detections
    from edge.results.instances import Instances as Instances
    from edge.results.observation import Observation as Observation
    from edge.results.poses import Poses as Poses

# Name: the module that defines it, imported when the name is first used: `edge --help` needs none.
# With the lines above, the place of a new kind's result.
_MODULES = {
    "Anomaly": "edge.results.anomaly",
    "ClassMap": "edge.results.class_map",
    "Classes": "edge.results.classes",
    "Detections": "edge.results.detections",
    "EdgeError": "edge.errors",
    "Instances": "edge.results.instances",
    "LoadedModel": "edge.model.loaded",
    "Observation": "edge.results.observation",
    "Poses": "edge.results.poses",
    "open_model": "edge.library",
    "watch": "edge.library",
}
__all__ = [*_MODULES]  # noqa: PLE0604 - texts


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    if name not in _MODULES:
        raise AttributeError(f"module 'edge' has no attribute {name!r}")
    import importlib  # noqa: PLC0415 - as above

    return getattr(importlib.import_module(_MODULES[name]), name)

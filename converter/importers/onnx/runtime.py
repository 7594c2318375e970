"""Compare an import with onnxruntime, which runs the original file, in a child process."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

import numpy as np

from converter import import_check
from converter.importers.normalisation import normalised
from converter.jobs.child import Child, job_folder, run_child

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from converter.choice import InputChoice
    from converter.graph.values import Graph
    from converter.importers.onnx.file import OnnxModel

    Sources = Mapping[str, tuple[str, NDArray[np.intp] | None]]

MODEL, IMAGES, FOUND = "model.onnx", "images.npy", "found.npz"
ONNXRUNTIME = Child(program="onnxruntime", time_s=300)
ERRORS_ONLY = 3


# All that a comparison needs.
def checked(  # noqa: PLR0913
    graph: Graph,
    sources: Sources,
    model: OnnxModel,
    *,
    orders: Mapping[str, tuple[int, ...]],
    own: InputChoice | None,
    path: Path,
) -> str:
    """Return a clause for the manifest: how far from onnxruntime's the heads are, or why not.

    Args:
        graph: Its outputs are named by their roles.
        sources: Role to the value whose numbers it has, and the channels of it; `None` takes all.
        model: The original.
        orders: Of the axes of a value as the import has it, by name.
        own: The normalisation that was taken out of it.
        path: For messages.

    Raises:
        ModelError: They are other heads, or onnxruntime refuses the original.
    """
    names = list(dict.fromkeys(name for name, _ in sources.values()))
    inner = [name for name in names if name not in orders]
    if inner:
        return f"import not checked, as the file has no value that is {inner[0]}"
    if importlib.util.find_spec("onnxruntime") is None:
        return (
            "import not checked, as onnxruntime is not installed (pip install 'edge-vision[onnx]')"
        )
    if not model.is_float32:
        # Half precision alone is off by more than is allowed.
        return "import not checked, as the original does not compute in float32"
    images = import_check.noise(model.input_shape)
    values, version = _run(model, names, images.transpose(np.argsort(model.input_order)))
    expected = {}
    for role, (name, channels) in sources.items():
        laid = np.concatenate([each.transpose(orders[name]) for each in values[name]])
        expected[role] = laid if channels is None else laid[..., channels]
    ratio = import_check.error_ratio(graph, normalised(images, own), expected, path=path)
    return import_check.in_words(ratio, f"onnxruntime {version}")


def _run(
    model: OnnxModel, names: list[str], images: NDArray[np.float32]
) -> tuple[dict[str, NDArray[np.float32]], str]:
    """Return values of the original by name, `(N, 1, ...)`, and onnxruntime's version."""
    import onnx  # noqa: PLC0415 - of an extra

    proto = onnx.ModelProto()
    proto.CopyFrom(model.proto)
    # What it gives is fetched by its place: names may be anything.
    del proto.graph.output[:]
    proto.graph.output.extend(onnx.helper.make_empty_tensor_value_info(name) for name in names)
    with job_folder() as folder:
        (folder / MODEL).write_bytes(proto.SerializeToString())
        np.save(folder / IMAGES, images)
        run_child(__name__, folder, job={}, purpose="run the original", child=ONNXRUNTIME)
        with np.load(folder / FOUND) as stored:
            values = {each: stored[f"value{place}"] for place, each in enumerate(names)}
            return values, str(stored["version"])


def main(folder: Path, _job: dict[str, Any]) -> None:
    """Run the model in a folder on its images, one by one."""
    import onnxruntime  # noqa: PLC0415 - of an extra, and the parent imports this module too

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    # What it raises ends in a line that says why, which is what the person is told.
    session = onnxruntime.InferenceSession(
        str(folder / MODEL), options, providers=["CPUExecutionProvider"]
    )
    entry = session.get_inputs()[0].name
    found = [session.run(None, {entry: image[None]}) for image in np.load(folder / IMAGES)]
    arrays: Any = {
        f"value{place}": np.stack(rows) for place, rows in enumerate(zip(*found, strict=True))
    }
    np.savez(folder / FOUND, version=onnxruntime.__version__, **arrays)

"""Compare an import with onnxruntime, which runs the original file, in a child process."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from converter import import_check
from converter.importers.normalisation import normalised
from converter.jobs.child import Child, job_folder, run_child

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from converter.choice import InputChoice
    from converter.importers.onnx_file import OnnxModel

MODEL, IMAGES, FOUND = "model.onnx", "images.npy", "found.npz"
ONNXRUNTIME = Child(program="onnxruntime", time_s=300)
ERRORS_ONLY = 3


class Fetch(NamedTuple):
    """What a role is of the original: a value, the order of its axes here, channels or all."""

    value: str
    order: tuple[int, ...]
    channels: NDArray[np.intp] | None

    def taken(self, found: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the role's numbers `(N, ...)` of those of the value, batch by batch."""
        laid = np.concatenate([each.transpose(self.order) for each in found])
        return laid if self.channels is None else laid[..., self.channels]


def checked(
    flatbuffer: bytes,
    model: OnnxModel,
    fetches: Mapping[str, Fetch],
    *,
    path: Path,
    own: InputChoice | None,
) -> str:
    """Return a clause for the manifest: how far from onnxruntime's the heads are, or why not.

    Args:
        flatbuffer: Its outputs are named by their roles.
        model: The original.
        fetches: By role.
        path: For messages.
        own: The normalisation that was taken out of it.

    Raises:
        ModelError: They are other heads, or onnxruntime refuses the original.
    """
    if importlib.util.find_spec("onnxruntime") is None:
        return (
            "import not checked, as onnxruntime is not installed (pip install 'edge-vision[onnx]')"
        )
    if not model.is_float32:
        # Half precision alone is off by more than is allowed.
        return "import not checked, as the original does not compute in float32"
    images = import_check.noise(model.input_shape)
    names = list(dict.fromkeys(fetch.value for fetch in fetches.values()))
    found, version = _run(model, names, images.transpose(np.argsort(model.input_order)))
    expected = {role: fetch.taken(found[fetch.value]) for role, fetch in fetches.items()}
    ratio = import_check.error_ratio(flatbuffer, normalised(images, own), expected, path=path)
    return import_check.in_words(ratio, f"onnxruntime {version}")


def _run(
    model: OnnxModel, names: list[str], images: NDArray[np.float32]
) -> tuple[dict[str, NDArray[np.float32]], str]:
    """Return values of the original by name, `(N, 1, ...)`, and onnxruntime's version."""
    import onnx  # noqa: PLC0415 - of an extra

    proto = onnx.load_model_from_string(model.original)
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

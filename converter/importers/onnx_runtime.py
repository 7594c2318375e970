"""Compare an import with onnxruntime, which runs the original file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from converter import import_check
from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from converter.importers.onnx_file import OnnxModel

ERRORS_ONLY = 3


class Fetch(NamedTuple):
    """What a role is of the original: a value, the order of its axes here, channels or all."""

    value: str
    order: tuple[int, ...]
    channels: NDArray[np.intp] | None

    def taken(self, found: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the role's numbers."""
        laid: NDArray[np.float32] = found.transpose(self.order)
        return laid if self.channels is None else laid[..., self.channels]


def checked(
    flatbuffer: bytes, model: OnnxModel, fetches: Mapping[str, Fetch], *, path: Path
) -> str:
    """Return a clause for the manifest: how far from onnxruntime's the heads are, or why not.

    Args:
        flatbuffer: Its outputs are named by their roles.
        model: The original.
        fetches: By role.
        path: For messages.

    Raises:
        ModelError: They are other heads, or onnxruntime refuses the original.
    """
    try:
        import onnxruntime  # noqa: PLC0415 - of an extra
    except ImportError:
        return (
            "import not checked, as onnxruntime is not installed (pip install 'edge-vision[onnx]')"
        )
    images = import_check.noise(model.input_shape)
    first = np.argsort(model.input_order)
    names = list(dict.fromkeys(fetch.value for fetch in fetches.values()))
    try:
        session = _session(onnxruntime, model.original, names)
        found = [
            session.run(names, {model.input: image[None].transpose(first)}) for image in images
        ]
    # Its errors have no class of their own.
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(
            f"{path}: expected a model that onnxruntime runs, found one that it does not: "
            f"{reason[:200]}; export the model again"
        ) from error
    expected = {
        role: np.concatenate([fetch.taken(values[names.index(fetch.value)]) for values in found])
        for role, fetch in fetches.items()
    }
    ratio = import_check.error_ratio(flatbuffer, images, expected, path=path)
    return import_check.in_words(ratio, f"onnxruntime {onnxruntime.__version__}")


def _session(onnxruntime: Any, original: bytes, names: list[str]) -> Any:  # noqa: ANN401
    """Return a session that gives these values."""
    import onnx  # noqa: PLC0415 - of an extra

    proto = onnx.load_model_from_string(original)
    outputs = {value.name for value in proto.graph.output}
    for name in names:
        if name not in outputs:
            proto.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = ERRORS_ONLY
    return onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )

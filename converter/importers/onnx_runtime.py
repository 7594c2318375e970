"""Compare an import with onnxruntime, which runs the original file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from converter import import_check
from edge.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from converter.importers.onnx_file import OnnxModel

    Fetches = Mapping[str, tuple[str, tuple[int, ...]]]

ERRORS_ONLY = 3


def checked(flatbuffer: bytes, model: OnnxModel, fetches: Fetches, *, path: Path) -> str:
    """Return a clause for the manifest: how far from onnxruntime's the heads are, or why not.

    Args:
        flatbuffer: Its outputs are named by their roles.
        model: The original.
        fetches: Role to the value of the original, and the order of its axes in the `.tflite`.
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
    names = [value for value, _ in fetches.values()]
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
    expected: dict[str, NDArray[np.float32]] = {
        role: np.concatenate([values[place].transpose(order) for values in found])
        for place, (role, (_, order)) in enumerate(fetches.items())
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

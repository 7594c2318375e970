"""Whether a lowered model gives what its original gives: both run on the same inputs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from converter.graph.writing import write
from edge.errors import ModelError
from edge.model.backends.litert import open_interpreter, tensor_spec

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from converter.graph.values import Graph

    Heads = dict[str, NDArray[np.float32]]

# Of a head's range. Measured: within 1e-5 on SSDLite, yolov3-tiny and Yolo-Fastest.
MAX_ERROR_RATIO = 1e-3
# What pixels become, by convention of one net or another; what a net is not used to does no harm.
NOISE_RANGES = (1.0, 255.0)
SEED = 0


def noise(shape: tuple[int, ...], *, whole: bool = False) -> NDArray[np.float32]:
    """Return images of noise `(2, H, W, C)`, in 0..1 and in 0..255; always the same.

    Args:
        shape: Of the input, batch first.
        whole: Only the second, of whole numbers, for an input of integers.
    """
    random = np.random.default_rng(SEED)
    images = [random.random(shape[1:], np.float32) * top for top in NOISE_RANGES]
    return np.stack([np.round(images[1])] if whole else images).astype(np.float32)


def error_ratio(graph: Graph, inputs: NDArray[np.float32], expected: Heads, *, path: Path) -> float:
    """Return the largest error of a head, as a share of the range of the original's.

    Args:
        graph: Float, its outputs named by role.
        inputs: `(N, H, W, C)`.
        expected: Role to what the original gives, `(N, ...)`.
        path: For messages.

    Raises:
        ModelError: It is above `MAX_ERROR_RATIO`, or the original gives no numbers.
    """
    found = _run(write(graph), inputs, path)
    rows = [
        all(bool(np.isfinite(head[row]).all()) for head in expected.values())
        for row in range(len(inputs))
    ]
    if not any(rows):
        raise ModelError(
            f"{path}: expected heads of finite numbers, found none on images of noise; "
            "check the weights"
        )
    role, worst = max(
        ((role, _error(found[role][rows], head[rows])) for role, head in expected.items()),
        key=lambda pair: pair[1],
    )
    if not worst <= MAX_ERROR_RATIO:
        raise ModelError(
            f"{path}: expected heads within {MAX_ERROR_RATIO:g} of the original's range, found "
            f"{role!r} off by {worst:.2g}; it is read wrongly: please report this model"
        )
    return worst


def in_words(ratio: float, runtime: str) -> str:
    """Return a clause for the manifest, to a power of ten: the last digits differ by machine.

    Args:
        ratio: The largest error of a head.
        runtime: What ran the original.
    """
    power = math.ceil(math.log10(max(ratio, 1e-9)))
    return f"import checked against {runtime}: within 1e{power} of each head's range"


def _error(found: NDArray[Any], expected: NDArray[Any]) -> float:
    if expected.dtype.kind in "iub":  # class ids: how many are others
        return float((found.reshape(expected.shape) != expected).mean())
    error = float(np.abs(found.reshape(expected.shape) - expected).max(initial=0))
    span = float(np.ptp(expected)) or float(np.abs(expected).max()) or 1.0
    return error / span


def _run(flatbuffer: bytes, inputs: NDArray[np.float32], path: Path) -> Heads:
    runtime = open_interpreter(flatbuffer, path, threads=1)
    entry = runtime.get_input_details()[0]["index"]
    specs = [tensor_spec(detail) for detail in runtime.get_output_details()]
    found: dict[str, list[NDArray[np.float32]]] = {spec.name: [] for spec in specs}
    for image in inputs:
        runtime.set_tensor(entry, image[None])
        runtime.invoke()
        for spec in specs:
            found[spec.name].append(runtime.get_tensor(spec.index))
    return {name: np.stack(heads) for name, heads in found.items()}

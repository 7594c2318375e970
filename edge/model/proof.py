"""The proof at start: the backend must give the values that the converter saw for a fixed pattern.

It finds what an accelerator does wrong without an error: NaN, kernels that are wrong, an engine of
another model, channels in another order. And it is the invoke that warms the backend up.

Of each head some values are kept: those that stand out most, and as many at even distances. They
are compared less the mean of those kept, as heads of scores are one level with few peaks: with
their mean, any other such head would look the same.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.errors import DelegateError, EdgeError, ModelError
from edge.model.delegates import CPU
from edge.model.loaded import load_model
from edge.model.quant import Quant
from edge.model.readers.manifest import HeadProof

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.model.loaded import LoadedModel
    from edge.model.model_file import ModelFile
    from edge.model.spec import Tensors, TensorSpec

log = logging.getLogger("edge")

KEPT = 64  # that stand out, and as many at even distances: 2 KiB of text a head
LEAST_COSINE = 0.99
# Of float values: an x86 and an Arm core agree in more.
DIGITS = 5
# Heads that hardly move for the pattern are told by how near their values are: in quanta of an
# integer head, and as a share of the greatest value of a float one.
NEAR_QUANTA, NEAR_RATIO = 3.0, 0.02
# A class id has no near and far: so many of those kept must be the same.
SAME_RATIO = 0.9
TIMED_INVOKES = 3


def pattern(size_wh: tuple[int, int]) -> NDArray[np.uint8]:
    """Return the fixed image, `(H, W, 3)` uint8, B G R: ramps, and squares of several sizes.

    Integers only, so that it is the same everywhere; its channels, sides and corners all differ.
    """
    width, height = size_wh
    y, x = np.ogrid[:height, :width]
    image = np.empty((height, width, 3), np.uint8)
    image[..., 0] = 255 * x // width
    image[..., 1] = 255 * y // height
    image[..., 2] = ((x // 32 + y // 32) % 2) * 160 + ((x // 8 + y // 4) % 3) * 40
    image[height // 4 : height // 2, width // 8 : width // 3] = (20, 60, 235)
    image[3 * height // 5 : 9 * height // 10, width // 2 : 7 * width // 8] = (240, 200, 30)
    return image


def heads_of(model: LoadedModel) -> Tensors:
    """Return a model's raw heads for the pattern, in new buffers."""
    buffer, heads = model.input_buffer(), model.output_buffers()
    buffer.fill(pattern(model.description.input.size_wh))
    model.invoke(buffer, out=heads)
    return heads


def take(model: LoadedModel) -> dict[str, HeadProof]:
    """Return what a model gives, by output role, for its manifest.

    Raises:
        ModelError: It gives NaN or infinite values.
    """
    heads = heads_of(model)
    found = {}
    for role, tensor in model.spec.outputs.items():
        real = tensor.quant.dequantize(heads[role]).ravel()
        if not np.isfinite(real).all():
            raise ModelError(f"head {role!r} holds NaN or infinite values for a plain image")
        at = _places(real)
        values = tuple(float(f"{value:.{DIGITS}g}") for value in real[at])
        found[role] = HeadProof(at=tuple(at.tolist()), values=values)
    return found


def check(model: LoadedModel, stored: dict[str, HeadProof]) -> None:
    """Run a model on the pattern, and refuse it unless it gives what was stored, all of it finite.

    Without stored values an accelerator is still invoked once, which is where it fails that has no
    code for this device. A model of other origin may have its reasons for a NaN.

    Raises:
        DelegateError: It gives something else on a delegate.
        ModelError: Likewise on the CPU.
    """
    if not stored and model.ran.provider == CPU:
        return
    heads = heads_of(model)
    for role, tensor in model.spec.outputs.items():
        fault = _fault(heads[role], tensor, stored[role]) if role in stored else ""
        if fault:
            on_cpu = model.ran.provider == CPU
            what, remedy = (
                (ModelError, "reinstall the runtime, or convert the model again")
                if on_cpu
                else (DelegateError, 'set [model] delegate = "cpu", or update driver and runtime')
            )
            raise what(
                f"{model.description.name}: {model.ran} does not compute this model: of a fixed "
                f"image, head {role!r} {fault}; its results are not to be trusted: {remedy}"
            )


def tell(model: LoadedModel, file: ModelFile, *, threads: int) -> None:
    """Log what the start shows of an accelerator: that nothing proves it, that it is slow.

    Where nothing is stored, the CPU's values count instead. That they differ is a warning only: of
    a model of other origin it may mean as little as two boxes in another order.
    """
    if model.ran.provider == CPU:
        return
    is_proved = bool(file.manifest and file.manifest.proof)
    try:
        cpu = load_model(file, threads=threads)
    except EdgeError:  # compiled for the delegate: the CPU cannot run it
        if not is_proved:
            log.warning(
                "%s has no stored values, so nothing proves that %s computes it rightly; convert "
                "it again with this edge-convert",
                *(file.path, model.ran),
            )
        return
    if not is_proved:
        try:
            check(model, take(cpu))
        except EdgeError as error:
            log.warning("against the CPU, as it has no stored values: %s", error)
    own_ms, cpu_ms = invoke_ms(model), invoke_ms(cpu)
    if own_ms > cpu_ms:
        log.warning(
            "%s takes %.1f ms for an invoke, the CPU %.1f ms with %d threads: leave [model] "
            "delegate out",
            *(model.ran, own_ms, cpu_ms, threads),
        )


def invoke_ms(model: LoadedModel) -> float:
    """Return the shortest of a few invokes, milliseconds."""
    times_ns = []
    for _ in range(TIMED_INVOKES):
        started_ns = time.perf_counter_ns()
        model.invoke_bare()
        times_ns.append(time.perf_counter_ns() - started_ns)
    return min(times_ns) / 1e6


def _fault(head: NDArray[Any], tensor: TensorSpec, stored: HeadProof) -> str:
    """Return what is wrong with a head, as the rest of a sentence; empty for nothing."""
    if head.dtype.kind == "f" and not np.isfinite(head).all():
        return f"holds {int((~np.isfinite(head)).sum())} values that are NaN or infinite"
    at, wanted = np.array(stored.at, np.intp), np.array(stored.values)
    if at.size and int(at.max()) >= head.size:
        return f"has {head.size} values, fewer than the stored ones"
    found = tensor.quant.dequantize(head.ravel()[at]).astype(np.float64)
    is_integer = tensor.dtype.kind in "iu"
    if is_integer and tensor.quant == Quant():  # class ids
        same = float(np.mean(found == wanted))
        return "" if same >= SAME_RATIO else f"has {same:.0%} of the stored class ids"
    step = tensor.quant.scale * NEAR_QUANTA if is_integer else 0.0
    near = max(step, NEAR_RATIO * float(np.abs(wanted).max(initial=0)))
    if np.abs(found - wanted).max(initial=0) <= near:
        return ""
    cosine = _cosine(found - wanted.mean(), wanted - wanted.mean())
    return "" if cosine >= LEAST_COSINE else f"has a cosine of {cosine:.3f} with the stored values"


def _places(real: NDArray[np.float32]) -> NDArray[np.intp]:
    """Return where the values are that are kept, each once, in order."""
    far = np.argsort(-np.abs(real - np.median(real)), kind="stable")[:KEPT]
    even = np.linspace(0, real.size - 1, min(KEPT, real.size)).astype(np.intp)
    return np.unique(np.concatenate([far, even]))


def _cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / norms if norms else 0.0

"""The program of the child in which a model runs for the first time, started by `edge.model.trial`.

It is run by its path under ``python -I -S``, and imports numpy and the runtime only: 0.15 s in all
for the shipped model, where this package with its configuration would take as long again.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# What its exit status says beside 0; the reason is the last line on stderr.
LOAD_REFUSED, INVOKE_REFUSED, OUT_OF_MEMORY = 3, 4, 5
# What onnxruntime calls the types of inputs that `edge.model.onnx_file` lets through.
ONNX_DTYPES = {
    "tensor(bool)": "bool", "tensor(double)": "float64", "tensor(float)": "float32",
    "tensor(float16)": "float16",
    **{f"tensor({kind})": kind for kind in ("int8", "uint8", "int16", "uint16", "int32", "uint32",
                                            "int64", "uint64")},
}  # fmt: skip


def main(job: dict[str, Any]) -> int:
    """Run the model on stdin once; return the exit status.

    Args:
        job: `path`, what modules are looked for in; `format` of the model; `runtime`, the module
            that runs it; `shapes` that its input may have; and the limits `memory_bytes` (beyond
            what the runtime itself takes), `cpu_s` and `log_bytes`.
    """
    sys.path[:] = job["path"]
    # OpenBLAS would start a thread a core, each with a stack of its own.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    runtime = importlib.import_module(job["runtime"])
    flatbuffer = sys.stdin.buffer.read()
    _limit(job)
    status = LOAD_REFUSED
    try:
        for status in RUNS[job["format"]](runtime, flatbuffer, job.get("shapes", ())):  # noqa: B007 - of the next step
            pass
    except MemoryError:
        return OUT_OF_MEMORY
    except refusals(runtime) as error:
        print(str(error).strip().partition("\n")[0], file=sys.stderr)  # noqa: T201 - to the parent
        return status
    return 0


def refusals(runtime: Any) -> tuple[type[Exception], ...]:  # noqa: ANN401
    """Return what a runtime raises; onnxruntime's own errors stand in no tree."""
    own = getattr(getattr(runtime, "capi", None), "onnxruntime_pybind11_state", None)
    kinds = [kind for kind in vars(own).values() if isinstance(kind, type)] if own else []
    raised = [kind for kind in kinds if issubclass(kind, Exception)]
    hailort = getattr(runtime, "HailoRTException", ValueError)
    return (*raised, hailort, ValueError, RuntimeError)


def _limit(job: dict[str, Any]) -> None:
    """Limit what the model may take; what the runtime has taken already does not count."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    own_bytes = pages * resource.getpagesize()
    for kind, most in (
        (resource.RLIMIT_AS, own_bytes + job["memory_bytes"]),
        (resource.RLIMIT_CPU, job["cpu_s"]),
        (resource.RLIMIT_FSIZE, job["log_bytes"]),
        (resource.RLIMIT_CORE, 0),
    ):
        _soft, hard = resource.getrlimit(kind)
        allowed = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (allowed, hard))
    # Where memory runs out all the same, this process is to go and not the service.
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")


def close_input(loaded: Any, shapes: Sequence[Sequence[int]]) -> None:  # noqa: ANN401
    """Give an input whose sides a `.tflite` leaves open the first of these shapes that fits it."""
    for detail in loaded.get_input_details():
        sides = tuple(int(side) for side in detail["shape_signature"])
        wanted = closed(sides, shapes)
        if -1 in sides[1:] and wanted != sides:
            loaded.resize_tensor_input(detail["index"], wanted)


def closed(sides: Sequence[int], shapes: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Return the first of these shapes that fits one with open sides, -1; that itself if none."""
    for wanted in shapes:
        pairs = zip(sides, wanted, strict=False)
        if len(sides) == len(wanted) and all(side in (-1, fixed) for side, fixed in pairs):
            return tuple(wanted)
    return tuple(sides)


def _by_litert(
    runtime: Any,  # noqa: ANN401
    flatbuffer: bytes,
    shapes: Sequence[Sequence[int]],
) -> Iterator[int]:
    """Load and invoke; yield before each step what it means if that fails."""
    yield LOAD_REFUSED
    loaded = _load(runtime, flatbuffer, shapes)
    yield INVOKE_REFUSED
    zeros = importlib.import_module("numpy").zeros
    for detail in loaded.get_input_details():
        loaded.set_tensor(detail["index"], zeros(detail["shape"], detail["dtype"]))
    loaded.invoke()
    for detail in loaded.get_output_details():
        loaded.get_tensor(detail["index"])
    yield LOAD_REFUSED
    # As `edge bench --layers` lists ops: with other kernels than those that run them.
    plain = runtime.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
    loaded = _load(runtime, flatbuffer, shapes, experimental_op_resolver_type=plain)
    loaded.get_tensor_details()


def _load(
    runtime: Any,  # noqa: ANN401
    flatbuffer: bytes,
    shapes: Sequence[Sequence[int]],
    **options: Any,  # noqa: ANN401
) -> Any:  # noqa: ANN401
    loaded = runtime.Interpreter(model_content=flatbuffer, num_threads=1, **options)
    close_input(loaded, shapes)
    loaded.allocate_tensors()
    return loaded


def _by_onnxruntime(
    runtime: Any,  # noqa: ANN401
    model: bytes,
    shapes: Sequence[Sequence[int]],
) -> Iterator[int]:
    """Do the same on the CPU, which is what a file for a GPU can be tried on anywhere."""
    yield LOAD_REFUSED
    runtime.set_default_logger_severity(4)
    options = runtime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    session = runtime.InferenceSession(
        model, options, providers=["CPUExecutionProvider"], enable_fallback=0
    )
    yield INVOKE_REFUSED
    numpy = importlib.import_module("numpy")
    zeros = {}
    for each in session.get_inputs():
        sides = closed([side if isinstance(side, int) else -1 for side in each.shape], shapes)
        zeros[each.name] = numpy.zeros([max(side, 1) for side in sides], ONNX_DTYPES[each.type])
    session.run(None, zeros)


def _by_hailort(
    runtime: Any,  # noqa: ANN401
    model: bytes,
    _: Sequence[Sequence[int]],
) -> Iterator[int]:
    """Have HailoRT read the file, which needs no chip; what the chip does with it is not tried."""
    yield LOAD_REFUSED
    runtime.HEF(model).get_output_vstream_infos()


RUNS = {"tflite": _by_litert, "onnx": _by_onnxruntime, "hef": _by_hailort}


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))

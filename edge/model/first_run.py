"""The program of the child in which a model runs for the first time, started by `edge.model.trial`.

It is run by its path under ``python -I -S``, and imports numpy and the runtime only: 0.15 s in all
for the shipped model, where this package with its configuration would take as long again.
"""

import contextlib
import importlib
import json
import os
import resource
import sys
from pathlib import Path
from typing import Any

# What its exit status says beside 0; the reason is the last line on stderr.
LOAD_REFUSED, INVOKE_REFUSED, OUT_OF_MEMORY = 3, 4, 5


def main(job: dict[str, Any]) -> int:
    """Run the model on stdin once; return the exit status.

    Args:
        job: `path`, what modules are looked for in; `runtime`, the interpreter's module; and the
            limits `memory_bytes` (beyond what the runtime itself takes), `cpu_s` and `log_bytes`.
    """
    sys.path[:] = job["path"]
    # OpenBLAS would start a thread a core, each with a stack of its own.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    runtime = importlib.import_module(job["runtime"])
    flatbuffer = sys.stdin.buffer.read()
    _limit(job)
    status = LOAD_REFUSED
    try:
        runner = _load(runtime, flatbuffer)
        status = INVOKE_REFUSED
        _invoke(runner)
        status = LOAD_REFUSED
        # As `edge bench --layers` lists ops: with other kernels than those that run them.
        plain = runtime.OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        _load(runtime, flatbuffer, experimental_op_resolver_type=plain).get_tensor_details()
    except MemoryError:
        return OUT_OF_MEMORY
    except (ValueError, RuntimeError) as error:
        print(str(error).strip().partition("\n")[0], file=sys.stderr)  # noqa: T201 - to the parent
        return status
    return 0


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


def _load(runtime: Any, flatbuffer: bytes, **options: Any) -> Any:  # noqa: ANN401
    loaded = runtime.Interpreter(model_content=flatbuffer, num_threads=1, **options)
    loaded.allocate_tensors()
    return loaded


def _invoke(loaded: Any) -> None:  # noqa: ANN401
    zeros = importlib.import_module("numpy").zeros
    for detail in loaded.get_input_details():
        loaded.set_tensor(detail["index"], zeros(detail["shape"], detail["dtype"]))
    loaded.invoke()
    for detail in loaded.get_output_details():
        loaded.get_tensor(detail["index"])


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))

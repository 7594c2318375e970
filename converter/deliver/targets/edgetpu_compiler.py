"""Run Google's Edge TPU compiler, where there is one on the PATH, and seal what it makes."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from converter import export
from converter.graph.reading import read
from converter.graph.writing import write
from edge.errors import ModelError

if TYPE_CHECKING:
    from converter.graph.values import Graph
    from edge.model.model_file import ModelFile

PROGRAM = "edgetpu_compiler"
TIMEOUT_S = 600  # its own limit is 180 s for each attempt
MAX_WORDS = 300
HOW_TO_GET = (
    "edgetpu_compiler is not on the PATH: it comes from Coral's own apt repository "
    "(coral.ai/docs/edgetpu/compiler), for x86-64 Debian and Ubuntu only, and is on no registry; "
    "install it, then type: edge-convert export MODEL --edgetpu"
)
# The compiler's words, as version 16.0.384591198 writes them.
VERSION = re.compile(r"Edge TPU Compiler version (\S+)")
ON_TPU = re.compile(r"Number of operations that will run on Edge TPU: (\d+)")
ON_CPU = re.compile(r"Number of operations that will run on CPU: (\d+)")
TOTAL = re.compile(r"Total number of operations: (\d+)")
STREAMED = re.compile(r"Off-chip memory used for streaming uncached model parameters: (\S+)")
FAILURE = re.compile(
    r"^(ERROR: .*|Invalid model: .*|Internal compiler error.*|.*failed.*)$", re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Compilation:
    """What the compiler made, and what it said.

    Attributes:
        file: The compiled model, sealed with the manifest of the one that it was made of.
        version: Of the compiler.
        on_tpu: Ops that it mapped; `None` where its log does not say.
        on_cpu: Ops that it left.
        streamed: Weights streamed for each frame, in its own words; empty where it does not say.
    """

    file: ModelFile
    version: str
    on_tpu: int | None
    on_cpu: int
    streamed: str

    def describe(self) -> str:
        """Return what it said, a clause for people."""
        counts = "it does not say how many ops it mapped"
        if self.on_tpu is not None:
            counts = f"{self.on_tpu} ops on the Edge TPU, {self.on_cpu} on the CPU"
        streamed = f"; {self.streamed} of weights streamed" if self.streamed else ""
        return f"compiled by {PROGRAM} {self.version}: {counts}{streamed}"


def find_compiler() -> Path | None:
    """Return the compiler on the PATH; `None` where there is none."""
    found = shutil.which(PROGRAM)
    return Path(found) if found else None


def compile_model(file: ModelFile, compiler: Path, *, timeout_s: float = TIMEOUT_S) -> Compilation:
    """Return the model compiled for the Edge TPU.

    Raises:
        ModelError: The compiler fails, takes too long, or makes no model of the same outputs.
    """
    with tempfile.TemporaryDirectory(prefix="edge-convert-") as name:
        folder = Path(name)
        source = folder / "model.tflite"
        source.write_bytes(write(read(file.flatbuffer, file.path)))
        said = _run([str(compiler), "-s", "-o", name, str(source)], file.path, timeout_s=timeout_s)
        made = folder / "model_edgetpu.tflite"
        if not made.is_file():
            raise ModelError(f"{file.path}: {PROGRAM} made no model: {_reason(said)}")
        flatbuffer = made.read_bytes()
    _check_ends(file, flatbuffer)
    version = _first(VERSION, said) or "of unknown version"
    total, on_tpu, on_cpu = (_first(pattern, said) for pattern in (TOTAL, ON_TPU, ON_CPU))
    return Compilation(
        export.remade(
            export.proven(file), flatbuffer, "compiled for the Edge TPU", tools={PROGRAM: version}
        ),
        version,
        # It counts them apart only where some are left.
        on_tpu=int(found) if (found := on_tpu or total) else None,
        on_cpu=int(on_cpu or 0),
        streamed=_first(STREAMED, said),
    )


def _run(words: list[str], path: Path, *, timeout_s: float) -> str:
    """Return what the compiler printed; its own child processes end with it."""
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True
    )
    try:
        output, _ = process.communicate(timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        raise ModelError(
            f"{path}: {PROGRAM} took over {timeout_s:g} s; compile a smaller model"
        ) from error
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    said = output.decode(errors="replace")
    if process.returncode != 0:
        raise ModelError(f"{path}: {PROGRAM} cannot compile this model: {_reason(said)}")
    return said


def _reason(said: str) -> str:
    """Return the first line that tells of a failure, or the last line there is."""
    found = FAILURE.search(said)
    lines = [found[0]] if found else said.strip().splitlines()[-1:]
    return (lines[0] if lines else "it says nothing")[:MAX_WORDS]


def _first(pattern: re.Pattern[str], said: str) -> str:
    found = pattern.search(said)
    return found[1] if found else ""


def _check_ends(file: ModelFile, flatbuffer: bytes) -> None:
    expected = _ends(read(file.flatbuffer, file.path))
    found = _ends(read(flatbuffer, Path("compiled model")))
    if found != expected:
        raise ModelError(
            f"{file.path}: expected {PROGRAM} to keep the inputs and outputs {expected}, "
            f"found {found}; use the model on the CPU"
        )


def _ends(graph: Graph) -> list[tuple[str, tuple[int, ...], str]]:
    ends = [graph.tensors[name] for name in (*graph.inputs, *graph.outputs)]
    return [(tensor.name, tensor.shape, tensor.dtype) for tensor in ends]

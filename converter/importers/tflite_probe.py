"""Load and invoke a foreign `.tflite` in a child process first: a damaged one crashes its runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from converter.jobs.child import Child, job_folder, run_child
from edge.errors import ModelError
from edge.model.backends.litert import open_interpreter

if TYPE_CHECKING:
    from pathlib import Path

MODEL = "model.tflite"
LITERT = Child(program="LiteRT", time_s=60)


def probe(flatbuffer: bytes, path: Path) -> None:
    """Refuse a bare model that LiteRT cannot load and invoke.

    Raises:
        ModelError: It is; the message holds the reason.
    """
    with job_folder() as folder:
        (folder / MODEL).write_bytes(flatbuffer)
        job = {"name": path.name}
        run_child(__name__, folder, job=job, purpose=f"invoke {path.name}", child=LITERT)


def main(folder: Path, job: dict[str, Any]) -> None:
    """Load and invoke the model in a folder.

    Raises:
        ModelError: LiteRT refuses it.
    """
    path = folder / MODEL
    try:
        open_interpreter(path.read_bytes(), path, threads=1).invoke()
    except (ModelError, RuntimeError, ValueError) as error:
        # LiteRT's own words: the sentence around them would name a file that is gone by then.
        reason = str(error.__cause__ or error).splitlines()[0]
        raise ModelError(f"LiteRT cannot invoke {job['name']}: {reason}") from error

"""Load and invoke a foreign `.tflite` in a child process first: a damaged one crashes its runtime.

Run as ``python -m converter.importers.tflite_probe FOLDER``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from converter.child import run_child

MODEL = "model.tflite"
TIMEOUT_S = 60


def probe(flatbuffer: bytes, path: Path) -> None:
    """Refuse a bare model that LiteRT cannot load and invoke.

    Raises:
        ModelError: It is; the message holds the reason.
    """
    with tempfile.TemporaryDirectory(prefix="edge-convert-") as name:
        folder = Path(name)
        (folder / MODEL).write_bytes(flatbuffer)
        run_child(
            "converter.importers.tflite_probe",
            folder,
            purpose=f"invoke {path.name}",
            program="LiteRT",
            timeout_s=TIMEOUT_S,
        )


def main(argv: list[str]) -> int:
    """Load and invoke the model in a folder."""
    from edge.errors import ModelError  # noqa: PLC0415 - the parent imports this module too
    from edge.model.backends.litert import open_interpreter  # noqa: PLC0415

    path = Path(argv[0]) / MODEL
    try:
        open_interpreter(path.read_bytes(), path, threads=1).invoke()
    except (ModelError, RuntimeError, ValueError) as error:
        # LiteRT's own words: the sentence around them would name a file that is gone by then.
        sys.stderr.write(f"{str(error.__cause__ or error).splitlines()[0]}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Load and invoke a foreign `.tflite` in a child process first: a damaged one crashes its runtime.

Run as ``python -m converter.importers.tflite_probe FOLDER``.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from converter.child import run_child

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Values = dict[str, NDArray[Any]]

MODEL, QUESTIONS, ANSWERS = "model.tflite", "question{}.npz", "answer{}.npz"
# Before the name of a tensor among the answers.
VALUE, SHAPE = "value ", "shape "
TIMEOUT_S = 60


def probe(flatbuffer: bytes, path: Path) -> None:
    """Refuse a bare model that LiteRT cannot load and invoke.

    Raises:
        ModelError: It is; the message holds the reason.
    """
    answers(flatbuffer, [{}], path)


def answers(flatbuffer: bytes, questions: Sequence[Values], path: Path) -> list[Values]:
    """Return a bare model's outputs by name, for each set of inputs by name; none leaves zeros.

    Raises:
        ModelError: LiteRT cannot load and invoke it; the message holds the reason.
    """
    found = _invoked(flatbuffer, questions, path)
    return [
        {name.removeprefix(VALUE): value for name, value in rows.items() if name.startswith(VALUE)}
        for rows in found
    ]


def shapes_of(flatbuffer: bytes, path: Path) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a bare model's tensors by name, as they are once it has run.

    Raises:
        ModelError: LiteRT cannot load and invoke it; the message holds the reason.
    """
    (rows,) = _invoked(flatbuffer, [{}], path)
    return {
        name.removeprefix(SHAPE): tuple(map(int, value))
        for name, value in rows.items()
        if name.startswith(SHAPE)
    }


def _invoked(flatbuffer: bytes, questions: Sequence[Values], path: Path) -> list[Values]:
    with tempfile.TemporaryDirectory(prefix="edge-convert-") as name:
        folder = Path(name)
        (folder / MODEL).write_bytes(flatbuffer)
        for number, values in enumerate(questions):
            arrays: Any = values
            np.savez(folder / QUESTIONS.format(number), **arrays)
        run_child(
            "converter.importers.tflite_probe",
            folder,
            purpose=f"invoke {path.name}",
            program="LiteRT",
            timeout_s=TIMEOUT_S,
        )
        return [dict(np.load(folder / ANSWERS.format(number))) for number in range(len(questions))]


def main(argv: list[str]) -> int:
    """Load and invoke the model in a folder, once for each question."""
    from edge.errors import ModelError  # noqa: PLC0415 - the parent imports this module too
    from edge.model.backends.litert import open_interpreter  # noqa: PLC0415

    folder = Path(argv[0])
    path = folder / MODEL
    try:
        runtime = open_interpreter(path.read_bytes(), path, threads=1)
        for number in range(len(list(folder.glob(QUESTIONS.format("*"))))):
            values = np.load(folder / QUESTIONS.format(number))
            for row in runtime.get_input_details():
                if row["name"] in values:
                    runtime.set_tensor(row["index"], values[row["name"]])
            runtime.invoke()
            found: Any = {
                f"{VALUE}{row['name']}": runtime.get_tensor(row["index"])
                for row in runtime.get_output_details()
            } | {f"{SHAPE}{row['name']}": row["shape"] for row in runtime.get_tensor_details()}
            np.savez(folder / ANSWERS.format(number), **found)
    except (ModelError, RuntimeError, ValueError) as error:
        # LiteRT's own words: the sentence around them would name a file that is gone by then.
        sys.stderr.write(f"{str(error.__cause__ or error).splitlines()[0]}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

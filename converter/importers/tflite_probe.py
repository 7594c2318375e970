"""Load and invoke a foreign `.tflite` in a child first: a damaged one crashes its runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from converter.jobs.child import Child, job_folder, run_child
from edge.errors import ModelError
from edge.model.backends.litert import open_interpreter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Values = dict[str, NDArray[Any]]

MODEL, QUESTIONS, ANSWERS = "model.tflite", "question{}.npz", "answer{}.npz"
# Before the name of a tensor among the answers.
VALUE, SHAPE = "value ", "shape "
LITERT = Child(program="LiteRT", time_s=60)


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
    with job_folder() as folder:
        (folder / MODEL).write_bytes(flatbuffer)
        for number, values in enumerate(questions):
            arrays: Any = values
            np.savez(folder / QUESTIONS.format(number), **arrays)
        job = {"questions": len(questions), "name": path.name}
        run_child(__name__, folder, job=job, purpose=f"invoke {path.name}", child=LITERT)
        return [dict(np.load(folder / ANSWERS.format(number))) for number in range(len(questions))]


def main(folder: Path, job: dict[str, Any]) -> None:
    """Load and invoke the model in a folder, once for each question.

    Raises:
        ModelError: LiteRT refuses it.
    """
    path = folder / MODEL
    try:
        runtime = open_interpreter(path.read_bytes(), path, threads=1)
        for number in range(job["questions"]):
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
        reason = str(error.__cause__ or error).splitlines()[0]
        raise ModelError(f"LiteRT cannot invoke {job['name']}: {reason}") from error

"""A model run once by LiteRT."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edge.model.backends.litert import open_interpreter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def run(
    flatbuffer: bytes, image: NDArray[np.float32], path: Path = Path("model.tflite")
) -> dict[str, NDArray[np.float32]]:
    """Return the outputs of a float model for its one input, by name; `path` is for messages."""
    runtime = open_interpreter(flatbuffer, path, threads=1)
    runtime.set_tensor(runtime.get_input_details()[0]["index"], image)
    runtime.invoke()
    return {row["name"]: runtime.get_tensor(row["index"]) for row in runtime.get_output_details()}

"""The child process in which TensorFlow's quantiser runs.

Run as ``python -m converter.quantize_child FOLDER``. The folder holds `float.tflite`, each computed
tensor with its range, and `job.json` (names of the ops that stay float); `quantized.tflite` is
written.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

# The whole module is TensorFlow's: no other may import it.
import tensorflow as tf

# The quantising half of TFLiteConverter, which hands over a model calibrated by it. There is no
# public way in.
from tensorflow.lite.python.convert import mlir_quantize


def main(argv: list[str]) -> int:
    """Quantise the model in a folder: int8 in, int8 out, weights per channel."""
    folder = Path(argv[0])
    job = json.loads((folder / "job.json").read_text())
    quantized = mlir_quantize(
        (folder / "float.tflite").read_bytes(),
        fully_quantize=True,
        input_data_type=tf.int8,
        output_data_type=tf.int8,
        denylisted_nodes=set(job["float_names"]) or None,
    )
    (folder / "quantized.tflite").write_bytes(quantized)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

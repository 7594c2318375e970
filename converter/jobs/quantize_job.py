"""The job in which TensorFlow's quantiser runs.

The folder holds `float.tflite`, each computed tensor with its range; `quantized.tflite` is written.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

# The whole module is TensorFlow's: no other may import it.
import tensorflow as tf

# The quantising half of TFLiteConverter, which hands over a model calibrated by it. There is no
# public way in.
from tensorflow.lite.python.convert import mlir_quantize

if TYPE_CHECKING:
    from pathlib import Path


def main(folder: Path, job: dict[str, Any]) -> None:
    """Quantise the model: int8 in, int8 out, weights per channel.

    Args:
        folder: Of the job.
        job: `float_names`, of the ops that stay float.
    """
    quantized = mlir_quantize(
        (folder / "float.tflite").read_bytes(),
        fully_quantize=True,
        input_data_type=tf.int8,
        output_data_type=tf.int8,
        denylisted_nodes=set(job["float_names"]) or None,
    )
    (folder / "quantized.tflite").write_bytes(quantized)

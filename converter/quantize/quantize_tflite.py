"""Quantise through TensorFlow's own quantiser, with ranges of our own, in a child process.

It gives int8 to LEAKY_RELU, TILE and others that litert-quantizer leaves float, and writes the op
versions that readers other than LiteRT look for. It takes a float `.tflite` whose tensors carry
their ranges, as TFLiteConverter's calibration would leave it. Measured: on SSDLite-MobileNetV2 all
114 activation scales are those of the ranges, bit for bit what litert-quantizer writes; where ops
must share a scale (into a CONCATENATION, out of a MAX_POOL_2D) it chooses one of theirs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from converter.graph.writing import write
from converter.jobs.child import job_folder, run_child

if TYPE_CHECKING:
    from collections.abc import Collection

    from calibration.ranges import Range
    from converter.graph.values import Graph


def quantize_tflite(
    graph: Graph, ranges: dict[str, Range], *, float_names: Collection[str] = ()
) -> bytes:
    """Return the model as int8 in and out; the same arguments give the same bytes.

    Args:
        graph: The float model.
        ranges: Of its input and of every tensor that it computes, by name.
        float_names: Tensors whose ops stay float.

    Raises:
        ModelError: TensorFlow refuses the model; the message names the log.
        DependencyError: TensorFlow is not installed.
    """
    with job_folder() as folder:
        noted = {name: (found.min, found.max) for name, found in ranges.items()}
        (folder / "float.tflite").write_bytes(write(graph, ranges=noted))
        job = {"float_names": sorted(float_names)}
        run_child("converter.jobs.quantize_job", folder, job=job, purpose="quantise this model")
        return (folder / "quantized.tflite").read_bytes()

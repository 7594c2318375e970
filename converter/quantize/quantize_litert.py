"""Quantise through litert-quantizer: our ranges as a plain dictionary, no TensorFlow."""

from __future__ import annotations

import contextlib
import io
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from edge.errors import DependencyError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from calibration.ranges import Range
    from converter.quantize.recipe import Activations, Recipe, Weights


ENDS = ("INPUT", "OUTPUT")  # litert-quantizer's names for the model's own


def quantize_litert(
    flatbuffer: bytes, ranges: dict[str, Range], rules: list[dict[str, Any]], *, path: Path
) -> bytes:
    """Return the model quantised by the rules; the same arguments give the same bytes.

    Args:
        flatbuffer: The float model.
        ranges: Of its input and of every tensor that it computes, by name; empty where no rule
            quantises activations beforehand.
        rules: From `rules_of`.
        path: For messages.

    Raises:
        ModelError: An op cannot be quantised.
        DependencyError: litert-quantizer is not installed.
    """
    try:
        from litert_quantizer import quantizer  # noqa: PLC0415 - a second of imports, optional
    except ImportError as error:
        raise DependencyError(
            "litert-quantizer is needed to quantise; type: pip install 'edge-vision[converter]'"
        ) from error
    ends = {name: _extremes(found) for name, found in ranges.items()}
    try:
        # Some of its progress bars ignore the switch for them.
        with contextlib.redirect_stderr(io.StringIO()):
            worker = quantizer.Quantizer(flatbuffer, rules)
            result = worker.quantize(
                ends or None, enable_progress_bar=False, enable_progress_report=False
            )
    except (ValueError, RuntimeError, KeyError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ModelError(f"{path}: litert-quantizer refuses this model: {reason}") from error
    return bytes(result.quantized_model or b"")


def rules_of(
    recipe: Recipe,
    *,
    kept_float: Iterable[Sequence[str]] = (),
    kept_int16: Iterable[Sequence[str]] = (),
) -> list[dict[str, Any]]:
    """Return the recipe in litert-quantizer's own words; of two that fit, the later one counts.

    Args:
        recipe: Its selections are not looked at.
        kept_float: Ops that stay float, each by the names of the tensors that it writes.
        kept_int16: Ops that take int16 activations, likewise.
    """
    body = _body(recipe.weights, recipe.activations)
    rules = [{"regex": ".*", "operation": "*"} | body]
    rules += [_scope(names) | _body("int8", "int16") for names in kept_int16]
    rules += [_scope(names) | {"algorithm_key": "no_quantize"} for names in kept_float]
    # Whatever writes an output: the model's ends stay as the recipe has them. Another expression
    # than the first rule's, as two rules with the same one are merged.
    rules += [{"regex": "^", "operation": end} | body for end in ENDS if len(rules) > 1]
    return rules


def _scope(names: Sequence[str]) -> dict[str, Any]:
    # It matches against the names of all the tensors that an op writes, each followed by ";".
    # Names hold ";" themselves, where TensorFlow made several ops one: only the whole is exact.
    return {"regex": f"^{re.escape(';'.join(names))};$", "operation": "*"}


def _body(weights: Weights, activations: Activations) -> dict[str, Any]:
    if weights == "float16":
        return {
            "algorithm_key": "float_casting",
            "op_config": _config({"num_bits": 16, "dtype": "FLOAT"}, precision="FLOAT"),
        }
    config = _config(
        {"num_bits": 8, "symmetric": True, "granularity": "CHANNELWISE", "dtype": "INT"},
        precision="INTEGER",
    )
    if activations in ("int8", "int16"):
        config["activation_tensor_config"] = {
            "num_bits": 8 if activations == "int8" else 16,
            "symmetric": activations == "int16",
            "granularity": "TENSORWISE",
            "dtype": "INT",
        }
    return {"algorithm_key": "min_max_uniform_quantize", "op_config": config}


def _config(weights: dict[str, Any], *, precision: str) -> dict[str, Any]:
    return {
        "weight_tensor_config": weights,
        "compute_precision": precision,
        "explicit_dequantize": precision == "FLOAT",
        "skip_checks": False,
        "min_weight_elements": 0,
    }


def _extremes(found: Range) -> dict[str, Any]:
    return {"min": np.array([found.min], np.float32), "max": np.array([found.max], np.float32)}

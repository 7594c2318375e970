"""The model that is shipped: what `edge run` uses when no other is named."""

from __future__ import annotations

from pathlib import Path

DEFAULT_MODEL = "ssdlite_mobilenet_v2_coco.tflite"


def default_model_path() -> Path:
    """Return the path of the shipped model; see its README for where it comes from."""
    return Path(__file__).with_name(DEFAULT_MODEL)

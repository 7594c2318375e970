"""Keras and what it computes with, loaded where somebody trains."""

from __future__ import annotations

import os

from edge.errors import DependencyError

# TensorFlow tells of processors and missing GPUs before anyone may ask it to be quiet.
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}


def load_keras(purpose: str) -> None:
    """Load Keras, quietly; an environment that says otherwise is left as it is.

    Args:
        purpose: What it is needed for, in words.

    Raises:
        DependencyError: It, or TensorFlow, is not installed.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import keras  # noqa: F401, PLC0415 - 3 s
    except ImportError as error:
        raise DependencyError(
            f"TensorFlow is needed to {purpose}; type: pip install 'edge-vision[converter]'"
        ) from error

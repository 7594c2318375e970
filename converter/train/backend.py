"""Keras and what it computes with, loaded where somebody trains."""

from __future__ import annotations

import os

from edge.errors import ConfigError, DependencyError

# TensorFlow tells of processors and missing GPUs before anyone may ask it to be quiet.
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "3", "KERAS_BACKEND": "tensorflow"}


def load_keras(purpose: str) -> None:
    """Load Keras with TensorFlow, quietly; how loud an environment wants it is left as it is.

    Args:
        purpose: What it is needed for, in words.

    Raises:
        DependencyError: It, or TensorFlow, is not installed.
        ConfigError: The environment asks for another backend: `tf.function` traces the training.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import keras  # noqa: PLC0415 - 3 s
        import tensorflow  # noqa: F401, ICN001, PLC0415 - as above
    except ImportError as error:
        raise DependencyError(
            f"TensorFlow is needed to {purpose}; type: pip install 'edge-vision[converter]'"
        ) from error
    if (found := keras.backend.backend()) != QUIET["KERAS_BACKEND"]:
        raise ConfigError(
            f"expected Keras to compute with TensorFlow to {purpose}, found {found}; type: "
            "export KERAS_BACKEND=tensorflow"
        )

"""Models that Keras has saved, for the importers of TensorFlow's formats."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from converter.jobs import child

ANCHORS = 24


@pytest.fixture(scope="session")
def models(tmp_path_factory):
    """Return a folder of tiny models that Keras has saved, with what it gives for an image."""
    folder = tmp_path_factory.mktemp("keras")
    maker = Path(__file__).with_name("keras_models.py")
    environment = {**os.environ, **child.QUIET, **child.NO_GPU}
    subprocess.run(
        [sys.executable, maker, folder], env=environment, check=True, capture_output=True
    )
    np.save(folder / "anchors.npy", np.full((ANCHORS, 4), 0.25, np.float32))
    return folder

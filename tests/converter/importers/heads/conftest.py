"""Detectors with the tails that exporters write, made once in a process that loads TensorFlow."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MAKER = Path(__file__).resolve().parents[3] / "reference" / "yolo_exports.py"


@pytest.fixture(scope="session")
def exports(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exports")
    subprocess.run([sys.executable, MAKER, folder], check=True, capture_output=True, timeout=300)
    return folder

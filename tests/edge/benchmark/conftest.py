"""A small model to measure."""

from __future__ import annotations

import pytest
from reference import tiny_segmenter


@pytest.fixture(scope="session")
def segmenter(tmp_path_factory):
    """Return the path of a small segmenter."""
    pytest.importorskip("ai_edge_litert")
    return tiny_segmenter.write(tmp_path_factory.mktemp("model") / "strongest.tflite").path

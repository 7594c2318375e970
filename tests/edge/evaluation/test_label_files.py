"""Label files: what opens them, and what to type where that is missing."""

from __future__ import annotations

import sys

import pytest

from edge.errors import DependencyError, SourceError
from edge.evaluation.label_files import library, read_text

pytestmark = pytest.mark.board


@pytest.mark.parametrize(
    ("module", "package"),
    [("PIL.Image", "Pillow"), ("yaml", "PyYAML"), ("pycocotools.coco", "pycocotools")],
)
def test_a_library_that_is_missing_is_named_with_what_to_type(monkeypatch, module, package):
    monkeypatch.setitem(sys.modules, module, None)

    with pytest.raises(DependencyError, match=rf"{package} is needed .* 'edge-vision\[eval\]'"):
        library(module)


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(SourceError, match="cannot be read: Is a directory"):
        read_text(tmp_path)

"""A model file is written whole or not at all."""

from __future__ import annotations

import numpy as np
import pytest

from converter import export
from edge.errors import SinkError
from edge.model import model_file
from edge.model.default import default_model_path


def test_what_is_written_reads_back(tmp_path):
    file = model_file.read(default_model_path())
    sealed = export.sealed(file, file.manifest)
    path = tmp_path / "m.tflite"

    export.write(sealed, path)

    back = model_file.read(path)
    assert back.manifest == sealed.manifest
    assert back.flatbuffer == sealed.flatbuffer
    np.testing.assert_array_equal(back.description.anchors, sealed.description.anchors)


def test_a_missing_folder_is_a_sentence_and_a_failed_write_leaves_the_old_file(tmp_path):
    file = model_file.read(default_model_path())
    with pytest.raises(SinkError, match="cannot be written: No such file"):
        export.write(file, tmp_path / "gone" / "m.tflite")

    taken = tmp_path / "m.tflite"
    taken.mkdir()
    (taken / "kept").write_text("old")
    with pytest.raises(SinkError):
        export.write(file, taken)
    assert [entry.name for entry in tmp_path.iterdir()] == ["m.tflite"]

from __future__ import annotations

import cv2
import numpy as np
import pytest


@pytest.fixture
def password_file(tmp_path):
    path = tmp_path / "password"
    path.touch(mode=0o600)
    path.write_text("p@ss:w/rd?%\n")
    return path


@pytest.fixture
def folder(tmp_path):
    """Three images whose names sort otherwise than they were made, and a text beside them."""
    for index, name in ((2, "c.png"), (0, "a.jpg"), (1, "b.BMP")):
        cv2.imwrite(str(tmp_path / name), np.full((6, 8, 3), 20 * index, np.uint8))
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / ".hidden.png").write_text("no image either")
    return tmp_path

"""The page of a segmenter; that of a detector is in test_eval.py, as a user asks for it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from html_pages import read_page

from edge.evaluation import mask_folder, page
from edge.evaluation.measuring import measure

pytest.importorskip("matplotlib", reason="pages need the extra `report`")
pytest.importorskip("PIL", reason="the extra eval is not installed")


def test_the_page_of_a_segmenter_counts_pixels_and_marks_the_wrong_ones(segmenter, tmp_path):
    image = np.zeros((120, 160, 3), np.uint8)
    image[..., 2] = 200  # red, which is class 0
    (tmp_path / "masks").mkdir()
    cv2.imwrite(str(tmp_path / "a.png"), image)
    cv2.imwrite(str(tmp_path / "masks" / "a.png"), np.eye(120, 160, dtype=np.uint8) + 1)
    truth = mask_folder.read(tmp_path / "masks", [tmp_path / "a.png"], names=None)

    measured = measure([segmenter], truth, [tmp_path / "a.png"], seed=0, resamples=2)
    (tmp_path / "x.html").write_text(page.render(measured), encoding="utf-8")

    shown = read_page(tmp_path / "x.html")
    text = "".join(shown.texts)
    for said in (
        "19,200 judged pixels",
        "Counted are pixels of the masks.",
        "100.0% of the pixels",
    ):
        assert said in text
    assert {"class", "IoU", "pixels", "wrong"} <= set(map(str.strip, shown.texts))
    (painted,) = (cv2.imdecode(np.frombuffer(data, np.uint8), 1) for data in shown.images)
    assert painted.shape == (120, 320, 3)
    assert painted[60, 240].tolist() == pytest.approx([60, 60, 255], abs=40)

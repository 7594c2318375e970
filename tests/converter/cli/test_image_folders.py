"""Folders of images as people have them, through `edge-convert run`: handled or refused by name."""

from __future__ import annotations

import json

import cv2
import image_files
import numpy as np
import pytest
from reference import bright_net

from converter.cli.command import main
from edge.terminal.command import DONE, FAILED

pytestmark = pytest.mark.converter

# What an image may be stored as; all show the same to the net.
KINDS = {
    "plain": lambda image: image,
    "gray": lambda image: image[..., 0],
    "rgba": lambda image: np.dstack([image, np.full(image.shape[:2], 9, np.uint8)]),
    "deep": lambda image: image.astype(np.uint16) * image_files.SIXTEEN_TO_EIGHT,
}


def convert(model, folder, *words):
    output = folder.parent / "my.tflite"
    choices = ["--family", "ssd", "--no-report", "--no-repair", *words]
    return main(["run", str(model), "--images", str(folder), *choices, "-o", str(output)]), output


def test_gray_alpha_and_deep_images_calibrate_and_judge_like_any_other(
    float_model, tmp_path, capsys
):
    (tmp_path / "photos").mkdir()
    for number, path in enumerate(bright_net.write_images(tmp_path / "photos", 12)):
        stored = list(KINDS.values())[number % len(KINDS)]
        cv2.imwrite(str(path), stored(cv2.imread(str(path))))

    status, output = convert(float_model, tmp_path / "photos", "--json")

    bill = json.loads(capsys.readouterr().out)
    assert status == DONE
    assert output.is_file()
    assert bill["matched"] == bill["expected"] > 0


def test_what_cannot_be_read_is_named_and_the_rest_is_used(float_model, tmp_path, caplog):
    folder = image_files.write(tmp_path / "photos", image_files.refused_contents())
    bright_net.write_images(folder, 8)

    status, _ = convert(float_model, folder)

    assert status == DONE
    said = [row.getMessage() for row in caplog.records]
    for name, (_, words) in image_files.REFUSED.items():
        assert any(f"/{name}: " in line and words in line for line in said)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        pytest.param({}, "photos: expected images", id="no image"),
        pytest.param(
            {"only.png": image_files.READ["gray.png"]},
            "photos: expected 3 images or more, some to calibrate with, some to choose by and "
            "others to judge on, found 1",
            id="one image",
        ),
        pytest.param(
            image_files.refused_contents(), "none of its 6 image files can be read", id="damaged"
        ),
        pytest.param({"a.webp": b"RIFF"}, "found only a.webp", id="another kind"),
    ],
)
def test_a_folder_that_cannot_do_is_refused_in_one_sentence(
    float_model, tmp_path, capsys, files, words
):
    folder = image_files.write(tmp_path / "photos", files)

    status, output = convert(float_model, folder)

    captured = capsys.readouterr()
    (line,) = [line for line in captured.err.splitlines() if line.startswith("edge-convert: ")]
    assert (status, captured.out) == (FAILED, "")
    assert words in line
    assert not list(output.parent.glob("my.tflite*"))

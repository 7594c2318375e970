"""Folders of images as people have them, through `edge-calibrate`: handled or refused by name."""

from __future__ import annotations

import json

import factories
import image_files
import pytest
from reference import tiny_model

from calibration import store
from calibration.cli import main
from edge.model.readers import manifest

pytestmark = pytest.mark.board


@pytest.fixture
def model(tmp_path):
    transform = factories.input_transform(size_wh=tiny_model.INPUT_WH)
    path = tmp_path / "model.tflite"
    path.write_bytes(manifest.append(tiny_model.build(), factories.manifest(input=transform), None))
    return path


def drawn(folder, capsys):
    """Return what `edge-calibrate sample` draws and skips, by name."""
    assert main(["sample", str(folder)]) == 0
    listed = json.loads(capsys.readouterr().out)
    return set(listed["images"]), {row["image"]: row["reason"] for row in listed["skipped"]}


def test_gray_alpha_deep_and_turned_images_are_drawn_like_any_other(tmp_path, capsys):
    folder = image_files.write(tmp_path / "photos", image_files.READ)

    assert drawn(folder, capsys) == (set(image_files.READ), {})


def test_each_image_that_cannot_be_read_is_skipped_by_name_with_the_reason(tmp_path, capsys):
    folder = image_files.write(tmp_path / "photos", image_files.READ)
    image_files.write(folder, image_files.refused_contents())

    chosen, skipped = drawn(folder, capsys)

    assert chosen == set(image_files.READ)
    assert skipped.keys() == image_files.REFUSED.keys()
    for name, (_, words) in image_files.REFUSED.items():
        assert words in skipped[name]


def test_images_of_kinds_that_are_not_read_are_named(tmp_path, capsys, caplog):
    folder = image_files.write(tmp_path / "photos", image_files.READ)
    image_files.write(folder, {"a.webp": b"RIFF", "b.HEIC": b"ftyp", "notes.txt": b"none"})

    drawn(folder, capsys)

    (line,) = [row.getMessage() for row in caplog.records if "passed over" in row.getMessage()]
    assert "2 images of kinds that are not read" in line
    assert "a.webp" in line
    assert "b.HEIC" in line
    assert "notes.txt" not in line


@pytest.mark.parametrize(
    ("files", "words"),
    [
        pytest.param({}, "expected images (.bmp, .jpeg, .jpg, .png), found none", id="none"),
        pytest.param({"a.webp": b"RIFF"}, "found only a.webp; convert", id="another kind"),
        pytest.param(
            image_files.refused_contents(), "none of its 6 image files can be read", id="damaged"
        ),
    ],
)
def test_a_folder_without_a_usable_image_is_refused_in_one_sentence(tmp_path, capsys, files, words):
    folder = image_files.write(tmp_path / "photos", files)

    assert main(["sample", str(folder)]) == 1

    captured = capsys.readouterr()
    assert captured.out == ""
    assert words in captured.err.splitlines()[-1]
    assert str(folder) in captured.err.splitlines()[-1]


def test_one_image_is_enough_to_observe(tmp_path, model):
    folder = image_files.write(tmp_path / "photos", {"only.png": image_files.READ["gray.png"]})

    assert main(["observe", str(model), "--images", str(folder), "-o", str(tmp_path / "r")]) == 0

    assert store.read(tmp_path / "r").images == 1


def test_an_image_that_was_damaged_since_the_draw_is_refused_by_name(tmp_path, model, capsys):
    folder = image_files.write(tmp_path / "photos", image_files.READ)
    listed = tmp_path / "list.json"
    main(["sample", str(folder), "-o", str(listed)])
    (folder / "gray.png").write_bytes(b"")
    capsys.readouterr()

    assert main(["observe", str(model), "--list", str(listed), "-o", str(tmp_path / "r")]) == 1

    assert "gray.png: expected an image, found an empty file" in capsys.readouterr().err

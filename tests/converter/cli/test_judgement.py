"""The options that say what a model is judged by, typed as a user would."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest
from reference import bright_net

from converter import conversion, export
from converter.cli.command import main
from edge.model import model_file
from edge.model.readers.manifest import Calibration, ImageDigests
from edge.terminal.command import DONE, FAILED, MISUSED

pytest.importorskip("pycocotools", reason="pycocotools is not installed")
pytestmark = pytest.mark.converter

COUNT = 4


@pytest.fixture
def judged(tmp_path):
    """Return the words that compare the tiny detector with itself on images of bright squares."""
    model = tmp_path / "bright.tflite"
    export.write(bright_net.model_file(), model)
    folder = tmp_path / "images"
    folder.mkdir()
    bright_net.write_images(folder, COUNT)
    return ["verify", str(model), str(model), "--images", str(folder), "--json"]


@pytest.fixture
def squares(tmp_path):
    """Return a folder of YOLO text files that says where the bright squares are."""
    folder = tmp_path / "labels"
    folder.mkdir()
    side = 1 / bright_net.GRID
    for number in range(COUNT):
        cells = np.random.default_rng(number).choice(bright_net.COUNT, number % 6, replace=False)
        rows = [
            f"0 {(cell % bright_net.GRID + 0.5) * side} {(cell // bright_net.GRID + 0.5) * side} "
            f"{side} {side}"
            for cell in cells
        ]
        (folder / f"{number:02}.txt").write_text("\n".join(rows))
    return folder


def test_a_folder_of_labels_and_a_file_of_names_judge_by_map(judged, squares, tmp_path, capsys):
    names = tmp_path / "names.txt"
    names.write_text("\n".join(bright_net.LABELS))

    status = main([*judged, "--annotations", str(squares), "--names", str(names)])

    rows = json.loads(capsys.readouterr().out)["accuracy"]
    assert status == DONE
    assert [row["metric"] for row in rows] == ["mAP50-95", "mAP50"]
    assert rows[1]["reference"] > 0.9


def test_names_without_labels_are_a_misuse(judged, tmp_path, capsys):
    assert main([*judged, "--names", str(tmp_path / "names.txt")]) == MISUSED
    assert "give them with --annotations" in capsys.readouterr().err


def test_verify_keeps_off_all_that_a_run_calibrated_and_chose_on(judged, tmp_path, capsys):
    folder = tmp_path / "images"
    bright_net.write_images(folder, 20)
    output = tmp_path / "out.tflite"
    assert main(["run", judged[1], "--images", str(folder), "--no-report", "-o", str(output)]) == 0
    capsys.readouterr()

    assert main(["verify", judged[1], str(output), *judged[3:]]) == DONE

    said = capsys.readouterr()
    made = model_file.read(output).own_manifest().image_sets
    # One of the 20 looks like another.
    kept_off = made["calibrate"].images + made["select"].images
    assert json.loads(said.out)["images"] == made["judge"].images == 19 - kept_off
    assert "may be among these" not in said.err


def test_verify_says_where_a_model_does_not_tell_what_calibrated_it(judged, tmp_path, capsys):
    calibration = Calibration(digest="sha256:x", images=2, seed=0, method="minmax")
    export.write(bright_net.model_file(calibration=calibration), tmp_path / "made.tflite")

    assert main([*judged[:2], str(tmp_path / "made.tflite"), *judged[3:]]) == DONE

    assert "they may be among these" in capsys.readouterr().err


def test_verify_refuses_annotations_before_a_model_is_run(judged, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(conversion, "Views", None)
    (tmp_path / "boxes.json").write_text("{}")

    assert main([*judged, "--annotations", str(tmp_path / "boxes.json")]) == FAILED
    assert "expected COCO annotations" in capsys.readouterr().err


def test_verify_keeps_off_the_images_that_made_the_model(judged, tmp_path, capsys):
    folder = tmp_path / "images"
    used = [hashlib.sha256((folder / f"{n:02}.png").read_bytes()).hexdigest()[:16] for n in (1, 2)]
    file = bright_net.model_file(
        image_sets={"calibrate": ImageDigests(digest="sha256:x", images=2, contents=tuple(used))}
    )
    export.write(file, tmp_path / "made.tflite")

    assert main([*judged[:2], str(tmp_path / "made.tflite"), *judged[3:]]) == DONE

    assert json.loads(capsys.readouterr().out)["images"] == COUNT - 2

"""Classifiers and autoencoders, judged by folders of images: figures, faults, pages."""

from __future__ import annotations

import json

import cv2
import numpy as np
import pytest
from html_pages import read_page
from reference import tiny_autoencoder, tiny_classifier

from edge import cli
from edge.evaluation.anomaly_run import ErrorSample, auroc
from edge.evaluation.class_run import RankSample

pytest.importorskip("pycocotools", reason="pycocotools is not installed")

COLORS = {"red": (30, 30, 220), "green": (30, 220, 30), "blue": (220, 30, 30)}  # B, G, R


def eval_(*arguments):
    return cli.main(["eval", *map(str, arguments), "--resamples", "20"])


def write(path, color, *, dot=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    image = np.full((24, 32, 3), color, np.uint8)
    if dot:
        image[8:16, 8:16] = 255 - image[8:16, 8:16]
        image[10:14:2, 10:14:2] = 0
    cv2.imwrite(str(path), image)


@pytest.fixture(scope="module")
def colours(tmp_path_factory):
    """Return a classifier, and images in folders: of blue two are right and one is red."""
    root = tmp_path_factory.mktemp("colours")
    tiny_classifier.write(root / "c.tflite")
    for name in ("red", "green", "blue"):
        for number in range(2):
            write(root / "set" / name / f"{number}.png", COLORS[name])
    write(root / "set" / "blue" / "deep" / "2.png", COLORS["red"])
    return root / "c.tflite", root / "set"


def test_a_classifier_is_judged_by_folders_of_its_labels(colours, capsys):
    assert eval_(colours[0], "--images", colours[1], "--json") == 0

    (result,) = json.loads(capsys.readouterr().out)["evaluations"]
    assert result["task"] == "classification"
    assert result["metrics"] == pytest.approx(
        {"top-1": 6 / 7, "mean recall of the classes": (1 + 1 + 2 / 3) / 3}
    )
    low, high = result["intervals"]["top-1"]
    assert low <= 6 / 7 <= high
    assert result["classes"]["blue"] == pytest.approx(
        {"recall": 2 / 3, "precision": 1, "objects": 3}
    )
    assert result["classes"]["red"]["precision"] == pytest.approx(2 / 3)
    assert result["confusion"]["names"] == ["blue", "green", "red", "(none of these)"]
    assert result["confusion"]["counts"][0] == [2, 0, 1, 0]


def test_its_page_and_its_worst_images_show_what_was_taken_for_what(colours, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="pages need the extra `report`")
    options = ["--html", tmp_path / "x.html", "--pictures", tmp_path / "worst"]
    assert eval_(colours[0], "--images", colours[1], *options) == 0
    out = capsys.readouterr().out
    assert "classification on 7 images, 7 judged images" in out
    assert "top-1" in out
    page = read_page(tmp_path / "x.html")
    text = " ".join(page.texts)
    assert "blue, taken for red" in text
    assert "mean recall of the classes" in text
    assert len(page.images) == 1
    assert [path.name for path in (tmp_path / "worst").rglob("*.jpg")] == ["01-2.jpg"]


def test_several_classifiers_are_compared_on_the_same_draws(colours, capsys):
    assert eval_(colours[0], colours[0], "--images", colours[1]) == 0
    assert "top-1: B - A = +0.0000" in capsys.readouterr().out


def test_folders_that_are_no_label_are_named_and_not_judged(colours, tmp_path, capsys):
    for name in ("red", "pink"):
        write(tmp_path / "set" / name / "0.png", COLORS["red"])
    assert eval_(colours[0], "--images", tmp_path / "set") == 0
    out = capsys.readouterr().out
    assert "classification on 2 images, 1 judged images" in out
    assert "1 categories not judged, as the model lacks them: pink" in out


@pytest.mark.parametrize(
    ("given", "fault"),
    [
        pytest.param(
            (["pink", "cyan"], ""), "none of its categories (cyan, pink", id="other names"
        ),
        pytest.param((["."], ""), "expected a subfolder of images for each class", id="flat"),
        pytest.param((["red"], "coco.json"), "judged by folders of classes, but", id="boxes"),
        pytest.param((["red"], "nowhere"), "cannot be read", id="nowhere"),
    ],
)
def test_what_a_classifier_cannot_be_judged_by_is_told(colours, tmp_path, capsys, given, fault):
    folders, annotations = given
    for folder in folders:
        write(tmp_path / "set" / folder / "0.png", COLORS["red"])
    coco = {
        "images": [{"id": 1, "file_name": "0.png", "width": 32, "height": 24}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 9, 9]}],
        "categories": [{"id": 1, "name": "red"}],
    }
    (tmp_path / "coco.json").write_text(json.dumps(coco))
    options = ["--annotations", tmp_path / annotations] if annotations else []
    assert eval_(colours[0], "--images", tmp_path / "set", *options) == 1
    assert fault in capsys.readouterr().err


def test_ranks_become_shares_of_the_judged_images():
    sample = RankSample(np.array([0, 3, 7, 0]), np.array([True, True, True, False]), tops=(1, 5))
    np.testing.assert_allclose(sample.values(np.arange(4)), [1 / 3, 2 / 3])
    np.testing.assert_allclose(sample.values(np.array([1, 1, 3])), [0, 1])
    assert np.isnan(sample.values(np.array([3]))).all()


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Return an autoencoder that knows even images, and images in folders; one good has a dot."""
    root = tmp_path_factory.mktemp("parts")
    tiny_autoencoder.write(root / "a.tflite")
    for number, color in enumerate(COLORS.values()):
        write(root / "set" / "good" / f"{number}.png", color, dot=number == 0)
        write(root / "set" / "scratch" / f"{number}.png", color, dot=True)
    return root / "a.tflite", root / "set"


def test_an_autoencoder_is_judged_by_good_and_bad_folders(parts, tmp_path, capsys):
    pytest.importorskip("matplotlib", reason="pages need the extra `report`")
    options = ["--images", parts[1], "--json", "--html", tmp_path / "x.html"]
    assert eval_(parts[0], *options) == 0
    (result,) = json.loads(capsys.readouterr().out)["evaluations"]
    # The good one with a dot has the error of one of the bad: 2 of 3 are below all, one ties.
    assert result["metrics"]["AUROC"] > 0.6
    assert result["metrics"]["bad ones found at the threshold"] == 1
    assert result["metrics"]["good ones passed at the threshold"] == pytest.approx(2 / 3)
    assert result["confusion"]["counts"] == [[2, 1], [0, 3]]
    assert result["classes"]["good"]["told as anomalies"] == pytest.approx(1 / 3)
    assert "AUROC" in result["intervals"]
    page = read_page(tmp_path / "x.html")
    assert len(page.images) == 1
    assert "good: error" in " ".join(page.texts)


def test_without_a_folder_of_good_ones_it_is_told_what_to_name(colours, parts, capsys):
    assert eval_(parts[0], "--images", colours[1]) == 1
    assert "expected a folder named good and one of another name, found blue, green, red" in (
        capsys.readouterr().err
    )


@pytest.mark.parametrize(
    ("errors", "is_bad", "expected"),
    [
        ([1, 2, 3, 4], [0, 0, 1, 1], 1),
        ([1, 2, 3, 4], [1, 1, 0, 0], 0),
        ([1, 3, 2, 4], [0, 0, 1, 1], 0.75),
        ([1, 1, 1, 1], [0, 0, 1, 1], 0.5),
        ([1, 2], [1, 1], np.nan),
    ],
)
def test_auroc_is_how_often_a_bad_one_is_farther_off(errors, is_bad, expected):
    errors, is_bad = np.array(errors, float), np.array(is_bad, bool)
    assert auroc(errors, is_bad) == pytest.approx(expected, nan_ok=True)
    sample = ErrorSample(errors, is_bad)
    assert sample.values(np.arange(len(errors)))[0] == pytest.approx(expected, nan_ok=True)

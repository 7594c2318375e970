"""Classifiers and autoencoders on images that lie in a folder for each class."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from reference import tiny_autoencoder, tiny_classifier
from reference.tiny_segmenter import INPUT_WH

from edge.cli import main
from edge.decode.classes import ClassesHead
from edge.errors import SourceError
from edge.evaluation import reading
from edge.evaluation.measuring import measure, run_of
from edge.evaluation.whole_run import ErrorSample
from edge.model.model_file import ModelFile

WIDTH, HEIGHT = INPUT_WH
# B, G, R. The tiny classifier says how much red, green and blue an image holds.
RED, GREEN, BLUE = (0, 0, 250), (0, 250, 0), (250, 0, 0)
COLOURS = {"red": [RED, RED, GREEN], "green": [GREEN], "unheard of": [BLUE]}


def write(folder, number, color, *, points=0):
    folder.mkdir(parents=True, exist_ok=True)
    image = np.full((HEIGHT, WIDTH, 3), color, np.uint8)
    for row in range(points):
        image[2 + 4 * (row // 8), 2 + 4 * (row % 8)] = 255
    cv2.imwrite(str(folder / f"{number}.png"), image)


@pytest.fixture
def colours(tmp_path):
    for name, colors in COLOURS.items():
        for number, color in enumerate(colors):
            write(tmp_path / "images" / name, number, color)
    return tmp_path / "images"


@pytest.fixture
def parts(tmp_path):
    """Write images without and with bright points, of which one has few."""
    for number, points in enumerate((0, 0, 6)):
        write(tmp_path / "parts" / "good", number, (60, 60, 60), points=points)
    for number, points in enumerate((4, 30, 40)):
        write(tmp_path / "parts" / "scratched", number, (60, 60, 60), points=points)
    return tmp_path / "parts"


def measured(file, folder, **options):
    images = reading.find_images(folder)
    truth = reading.read(folder, images)
    return measure([file], truth, images, seed=0, resamples=20, **options)


def test_the_class_of_an_image_is_the_folder_it_lies_in(colours):
    truth = reading.read(colours, reading.find_images(colours))

    assert truth.holds == "classes"
    assert truth.names == ("green", "red", "unheard of")
    said = {
        path.parent.name: truth.names[truth.class_ids[key]] for key, path in truth.files.items()
    }
    assert said == {name: name for name in COLOURS}


def test_images_of_one_folder_say_no_class(colours):
    with pytest.raises(SourceError, match="in a folder for each class, found none"):
        reading.read(colours / "red", reading.find_images(colours / "red"))


def test_some_of_the_images_have_a_class_of_all_there_are(colours):
    some = [colours / "red" / "0.png", colours / "green" / "0.png"]

    truth = reading.read(colours, some)

    assert list(truth.files.values()) == some
    assert truth.names == ("green", "red", "unheard of")


def test_images_of_one_class_have_it_where_the_folder_has_others(colours, monkeypatch):
    (colours / "green" / "0.png").rename(colours / "green" / "g.png")
    (colours / "unheard of" / "0.png").rename(colours / "unheard of" / "u.png")
    some = [colours / "red" / "0.png", colours / "red" / "1.png"]

    truth = reading.read(colours, some)

    assert [truth.names[number] for number in truth.class_ids.values()] == ["red", "red"]
    monkeypatch.chdir(colours / "red")
    truth = reading.read(colours, [Path("0.png"), Path("../green/g.png")])
    assert [truth.names[number] for number in truth.class_ids.values()] == ["red", "green"]


def test_good_images_are_good_where_others_have_their_names(parts):
    truth = reading.read(parts, sorted((parts / "good").iterdir()))

    assert {truth.names[number] for number in truth.class_ids.values()} == {"good"}


def test_masks_beside_their_images_are_no_classes(tmp_path):
    for folder in ("images", "masks"):
        write(tmp_path / folder, 0, (1, 1, 1))

    assert reading.read(tmp_path, [tmp_path / "images" / "0.png"]).holds == "masks"


def test_two_classifiers_are_compared_by_the_metrics_that_both_have(tmp_path, colours):
    file = tiny_classifier.write(tmp_path / "c.tflite")
    head = ClassesHead(activation="none", top=1)
    other = ModelFile.of(file.path, file.flatbuffer, file.manifest.replace(head=head))
    images = reading.find_images(colours)

    for pair in ([file, other], [other, file]):
        found = measure(pair, reading.read(colours, images), images, seed=0, resamples=5)

        assert [(row.metric, *row.values) for row in found.differences] == [("top-1", 0.75, 0.75)]


def test_a_classifier_is_measured_by_its_best_classes(tmp_path, colours):
    (found,) = measured(tiny_classifier.write(tmp_path / "c.tflite"), colours).evaluations

    assert (found.images, found.objects) == (4, 4), "of a class without a label"
    assert found.metrics["top-1"] == 3 / 4
    assert found.metrics["top-2"] == 1, "its head keeps two"
    assert found.classes["red"] == {"recall": 2 / 3, "precision": 1, "objects": 3}
    assert found.classes["green"] == {"recall": 1, "precision": 1 / 2, "objects": 1}
    assert found.confusion.most() == [("red", "green", 1)]
    assert [row.text for row in found.mistakes] == ["red, taken for green 0.98"]
    assert any("unheard of" in note for note in found.notes)
    low, high = found.intervals["top-1"]
    assert low < 3 / 4 < high


def test_an_autoencoder_is_measured_by_the_pairs_that_its_error_tells_apart(tmp_path, parts):
    (found,) = measured(tiny_autoencoder.write(tmp_path / "a.tflite"), parts).evaluations

    # Of nine pairs the good image with six points has the greater error than the one with four.
    assert found.metrics == {
        "AUROC": pytest.approx(8 / 9), "anomalies found": 1, "false alarms": pytest.approx(1 / 3),
    }  # fmt: skip
    assert found.classes["scratched"] == {"alarms": 1, "objects": 3}
    assert [row.text.partition(",")[0] for row in found.mistakes] == ["good"]


def test_a_set_without_a_folder_of_good_images_is_refused(tmp_path, parts):
    (parts / "good").rename(parts / "fine")
    file = tiny_autoencoder.write(tmp_path / "a.tflite")

    with pytest.raises(SourceError, match=r"named good or normal or ok, .* found fine, scratched"):
        measured(file, parts)


def test_good_images_alone_are_refused_before_any_is_run(tmp_path, parts):
    images = sorted((parts / "good").iterdir())
    file = tiny_autoencoder.write(tmp_path / "a.tflite")

    with pytest.raises(SourceError, match=r"found good on the 3 images; .* choose more images"):
        run_of(file, reading.read(parts, images))


@pytest.mark.parametrize(
    ("good", "odd", "area"),
    [([1, 2], [3, 4], 1), ([3, 4], [1, 2], 0), ([1, 1], [1, 1], 0.5), ([1, 3], [2, 3], 0.625)],
    ids=["apart", "turned", "equal", "a tie"],
)
def test_the_area_counts_pairs(good, odd, area):
    errors = np.array([*good, *odd], float)
    sample = ErrorSample(errors, np.arange(len(errors)) >= len(good))

    assert sample.values(np.arange(len(errors))) == pytest.approx(area)
    assert np.isnan(sample.values(np.arange(len(good))))


@pytest.mark.parametrize(
    ("make", "metric"),
    [(tiny_classifier.write, "top-1"), (tiny_autoencoder.write, "AUROC")],
    ids=["classifier", "autoencoder"],
)
def test_the_verb_prints_figures_and_writes_a_page_and_pictures(
    tmp_path, make, metric, colours, capsys
):
    pytest.importorskip("jinja2", reason="a page needs the extra report")
    pytest.importorskip("matplotlib", reason="a page needs the extra report")
    make(tmp_path / "m.tflite")
    (colours / "green").rename(colours / "good")
    page, pictures = tmp_path / "page.html", tmp_path / "worst"

    status = main(["eval", str(tmp_path / "m.tflite"), "--images", str(colours),
                   "--resamples", "5", "--html", str(page), "--pictures", str(pictures),
                   "--json"])  # fmt: skip

    assert status == 0
    fields = json.loads(capsys.readouterr().out)
    assert fields["evaluations"][0]["main_metric"] == metric
    assert metric in page.read_text("utf-8")
    assert list(pictures.glob("01-*.jpg"))

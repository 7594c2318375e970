"""`edge-convert train` from labelled images to a file that the board runs, and its refusals."""

import csv
import json

import cv2
import factories
import numpy as np
import pytest

from calibration.dataset import ImageSet
from converter.cli import outputs
from converter.cli.command import main
from edge.model.loaded import load_model
from edge.model.model_file import ModelFile, read_own
from edge.model.readers.manifest import ImageDigests

pytestmark = pytest.mark.converter


def cells(folder, count=20):
    """Write images of bright discs and dark squares, with a COCO file of them."""
    (folder / "images").mkdir(parents=True)
    images, rows = [], []
    for number in range(count):
        rng = np.random.default_rng(number)
        pixels = rng.integers(90, 140, (64, 64, 3)).astype(np.uint8)
        for kind in (1, 2):
            x, y = rng.integers(14, 50, 2).tolist()
            if kind == 1:
                cv2.circle(pixels, (x, y), 12, (250, 250, 250), -1)
            else:
                cv2.rectangle(pixels, (x - 12, y - 12), (x + 12, y + 12), (5, 5, 5), -1)
            box = [max(x - 12, 0), max(y - 12, 0), 24, 24]
            rows.append({"id": len(rows) + 1, "image_id": number, "category_id": kind, "bbox": box})
        name = f"{number:02}.png"
        cv2.imwrite(str(folder / "images" / name), pixels)
        images.append({"id": number, "file_name": name, "width": 64, "height": 64})
    categories = [{"id": 1, "name": "disc"}, {"id": 2, "name": "square"}]
    fields = {"images": images, "annotations": rows, "categories": categories}
    (folder / "images" / "instances.json").write_text(json.dumps(fields))
    return folder


def words(folder, output, *more):
    return ["train", "ssd7", "--data", str(folder), "--input", "64", "--width", "0.25",
            "--epochs", "3", "--batch", "4", "-o", str(output), *more]  # fmt: skip


def test_labelled_images_become_a_file_that_runs_and_says_how_it_was_made(tmp_path, capsys):
    output = tmp_path / "cells.tflite"
    assert main([*words(cells(tmp_path / "data"), output), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["steps"] == 9
    assert set(told["classes"]) == {"disc", "square"}
    file = read_own(output)
    manifest = file.own_manifest()
    assert told["digest"] == manifest.digest
    assert manifest.labels == ("disc", "square")
    assert "trained: 9 steps of 4 images" in manifest.provenance.changes
    sets = manifest.image_sets
    assert [sets[one].images for one in ("train", "select", "judge")] == [12, 4, 4]
    assert len({name for one in sets.values() for name in one.contents}) == 20
    assert load_model(file)(np.zeros((64, 64, 3), np.uint8)) is not None
    folder = tmp_path / "cells.tflite.train"
    assert (folder / "curves.png").is_file()
    with (folder / "log.csv").open() as log:
        assert float(list(csv.DictReader(log))[-1]["step"]) == 9


@pytest.mark.slow
def test_a_model_that_learnt_before_learns_further_by_its_own_labels(tmp_path, capsys):
    data, first, second = (tmp_path / name for name in ("data", "first.tflite", "second.tflite"))
    assert main(words(cells(data), first)) == 0
    told = ["train", str(first), "--data", str(data), "--epochs", "1", "-o", str(second)]
    assert main(told) == 0
    manifests = [read_own(path).own_manifest() for path in (first, second)]
    assert manifests[1].labels == manifests[0].labels
    assert manifests[1].provenance.changes.count("trained:") == 2
    assert manifests[1].digest != manifests[0].digest
    capsys.readouterr()
    assert main([*told[:1], str(tmp_path / "no-such-net"), *told[2:]]) == 2
    assert "expected a float .tflite of ours or one of ssd-mobilenet" in capsys.readouterr().err


@pytest.mark.slow
def test_a_training_goes_on_from_its_checkpoint_and_not_from_another_nets(tmp_path, capsys):
    data, output = cells(tmp_path / "data"), tmp_path / "cells.tflite"
    assert main(words(data, output)) == 0
    first = read_own(output).description.digest
    output.unlink()
    assert main(words(data, output, "--resume")) == 0  # nothing is left to do
    assert read_own(output).description.digest == first
    capsys.readouterr()
    assert main(words(data, output, "--resume", "--width", "0.5")) == 1
    assert "expected a checkpoint of this net" in capsys.readouterr().err


def test_a_verdict_on_images_that_trained_the_model_is_called_flattered(tmp_path, capsys):
    train = ImageDigests(digest="sha256:0", images=2, contents=("a" * 16, "b" * 16))
    manifest = factories.manifest(image_sets={"train": train})
    file = ModelFile.of(tmp_path, b"", manifest, anchors=None)
    paths = (tmp_path / "1", tmp_path / "2", tmp_path / "3")
    contents = ("a" * 64, "c" * 64, "d" * 64)
    outputs.say_trained_on(file, ImageSet(tmp_path, paths, "", 0, contents=contents))
    assert "1 of the 3 images that judge trained the model" in capsys.readouterr().err
    outputs.say_trained_on(file, ImageSet(tmp_path, paths[1:], "", 0, contents=contents[1:]))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("more", "status", "said"),
    [
        (("--classes", "disc,horse"), 2, "expected boxes of horse"),
        (("--labels", "nowhere.json"), 1, "nowhere.json: cannot be read"),
        (("--resume",), 1, "expected a checkpoint to go on from"),
        (("--input", "8"), 2, "found 8x8, of which nothing is left behind some; choose a larger"),
    ],
    ids=["class", "labels", "resume", "input"],
)
def test_what_cannot_be_done_is_said_before_work_begins(tmp_path, capsys, *, more, status, said):
    output = tmp_path / "cells.tflite"
    assert main(words(cells(tmp_path / "data"), output, *more)) == status
    assert said in capsys.readouterr().err
    assert not output.exists()


def test_another_backend_of_keras_is_refused_and_told_what_to_type(tmp_path, capsys, monkeypatch):
    import keras  # noqa: PLC0415 - what the fixture changes

    monkeypatch.setattr(keras.backend, "backend", lambda: "torch")
    output = tmp_path / "cells.tflite"
    assert main(words(cells(tmp_path / "data"), output)) == 2
    assert "found torch; type: export KERAS_BACKEND=tensorflow" in capsys.readouterr().err


def test_an_autoencoder_that_learnt_too_little_is_told_to_go_on(tmp_path, capsys):
    output = tmp_path / "good.tflite"
    told = ["train", "autoencoder", "--data", str(cells(tmp_path / "data") / "images"), "--input",
            "32", "--epochs", "1", "--learning-rate", "1e-7", "-o", str(output)]  # fmt: skip
    assert main(told) == 1
    said = capsys.readouterr().err
    assert "worse than one even colour after 1 steps; go on with --resume and more" in said
    assert not output.exists()

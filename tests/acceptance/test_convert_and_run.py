"""From a float model as others save it to results on stdout, with the commands that users type."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from reference import bright_models, bright_net

from converter.jobs.child import NO_GPU, QUIET

pytestmark = pytest.mark.converter

ROOT = Path(__file__).resolve().parents[2]
IMAGES, SQUARES = 18, 6


@dataclass(frozen=True)
class Format:
    """How a tiny model is written, and what `edge-convert run` has to be told of it."""

    write: object
    family: str
    options: tuple = ()


def write_keras(folder, suffix):
    path = folder / f"bright{suffix}"
    maker = ROOT / "tests" / "reference" / "bright_keras.py"
    environment = {**os.environ, **QUIET, **NO_GPU}
    subprocess.run([sys.executable, maker, path], env=environment, check=True, capture_output=True)
    return path


LABELS = ("--labels", "labels.txt")
PIXELS = ("--input", "rgb", "--range", "0..1", "--resize", "stretch")
SIGNED = ("--input", "rgb", "--range=-1..1", "--resize", "stretch")
FORMATS = {
    "TF.js SSD": Format(bright_models.write_tfjs_ssd, "ssd", LABELS),
    "Darknet YOLO": Format(bright_models.write_darknet_yolo, "yolo", LABELS),
    "ONNX YOLOX": Format(bright_models.write_onnx_yolox, "yolo", (*PIXELS, *LABELS)),
    "Keras U-Net": Format(functools.partial(write_keras, suffix=".keras"), "unet", PIXELS),
}


def command(module, *words, cwd):
    """Run one of our commands as a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", module, *map(str, words)],
        cwd=cwd, env=os.environ | {"PYTHONPATH": str(ROOT)}, check=False, capture_output=True,
        text=True, timeout=120,
    )  # fmt: skip


@dataclass(frozen=True)
class Made:
    """What `edge-convert run` made of a model, and what it said.

    Its files are `my.tflite` and `float.tflite`, its images those of `images`.
    """

    folder: Path
    result: subprocess.CompletedProcess
    family: str

    def seen(self, name):
        """Return the messages of `edge run` for each image, of the int8 or the float file."""
        source = f"images:{self.folder / 'images'}"
        done = command("edge", "run", "--model", name, "--source", source, "--jsonl",
                       cwd=self.folder)  # fmt: skip
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def conversions(tmp_path_factory):
    """Return a function that converts a format's model, once."""

    @functools.cache
    def made_of(name):
        folder = tmp_path_factory.mktemp(name.replace(" ", "_").replace(".", ""))
        model = FORMATS[name].write(folder)
        (folder / "images").mkdir()
        bright_net.write_images(folder / "images", IMAGES)
        (folder / "labels.txt").write_text("\n".join(bright_net.LABELS) + "\n")
        family = FORMATS[name].family
        words = ("--family", family, *FORMATS[name].options, "--count", "6")
        return Made(folder, convert(folder, model, *words), family)

    return made_of


@pytest.fixture(params=list(FORMATS))
def made(request, conversions):
    """Return what was made of each format's model."""
    return conversions(request.param)


def convert(folder, *words):
    """Convert quickly, with what is common to all models."""
    return command(
        "converter", "run", *words, "--images", "images", "--no-repair", "--json",
        "--no-report", "--float", "float.tflite", "-o", "my.tflite", cwd=folder,
    )  # fmt: skip


def cells_of(number):
    """Return how many cells of an image are bright, by how `bright_net` draws it."""
    return number % SQUARES


def test_each_format_becomes_an_int8_file_that_passes_the_gate(made):
    assert made.result.returncode == 0, made.result.stderr
    bill = json.loads(made.result.stdout)
    assert bill["verdict"].startswith("passes")
    assert bill["distance"] <= 0.02
    # Two images without a bright cell are near-duplicates; 6 calibrate and 3 choose.
    assert IMAGES - 6 - 3 - 3 <= bill["images"] <= IMAGES - 6 - 3
    assert (made.folder / "my.tflite").is_file()
    assert not list(made.folder.glob("*.rejected"))


def test_edge_inspect_reads_the_file(made):
    done = command("edge", "inspect", "my.tflite", "--json", cwd=made.folder)

    assert done.returncode == 0, done.stderr
    facts = json.loads(done.stdout)
    assert {tensor["dtype"] for tensor in facts["tensors"]} == {"int8"}
    assert facts["labels"][0] in ("square", "background")


def test_edge_run_finds_what_the_images_show_and_what_the_float_model_finds(made):
    results, expected = made.seen("my.tflite"), made.seen("float.tflite")

    assert len(results) == len(expected) == IMAGES
    compare = assert_same_areas if made.family == "unet" else assert_same_boxes
    for number, (found, wanted) in enumerate(zip(results, expected, strict=True)):
        compare(found, wanted, cells=cells_of(number))


def assert_same_boxes(found, wanted, *, cells):
    boxes, float_boxes = (
        np.array(sorted(row["box_px"] for row in message["detections"])).reshape(-1, 4)
        for message in (found, wanted)
    )
    assert len(boxes) == len(float_boxes) == cells
    assert {row["label"] for row in found["detections"]} <= {"square"}
    # A side of 16 px: a twentieth of it on each.
    np.testing.assert_allclose(boxes, float_boxes, atol=0.8)


def assert_same_areas(found, wanted, *, cells):
    areas = [sum(row["area_ratio"] for row in message["areas"]) for message in (found, wanted)]
    # The net sees a square's edge half a pixel further in or out.
    assert areas[1] == pytest.approx(cells / bright_net.COUNT, abs=0.05)
    assert areas[0] == pytest.approx(areas[1], abs=0.005)


# Name to path in the assets, family, options. Heads and budget are proved elsewhere.
REAL = {
    "yolov3-tiny": (
        "yolov3_tiny/yolov3-tiny.mask123.cfg", "yolo",
        ("--weights", "yolov3_tiny/yolov3-tiny.weights"),
    ),
    "portrait net": ("portrait_unet/mnv3_seg_float.tflite", "unet", SIGNED),
}  # fmt: skip


@pytest.mark.assets
@pytest.mark.parametrize(
    "name", ["portrait net", pytest.param("yolov3-tiny", marks=pytest.mark.slow)]
)
def test_a_real_model_goes_the_same_way(name, assets, tmp_path):
    model, family, options = REAL[name]
    models, photos = assets / "models", assets / "data" / "coco_train178" / "images"
    (tmp_path / "images").mkdir()
    for photo in sorted(photos.iterdir())[:6]:
        (tmp_path / "images" / photo.name).symlink_to(photo)
    words = [models / word if "/" in word else word for word in options]

    result = convert(tmp_path, models / model, "--family", family, *words, "--tolerance", "99")

    made = Made(tmp_path, result, family)
    assert result.returncode == 0, result.stderr
    found, wanted = made.seen("my.tflite"), made.seen("float.tflite")
    assert len(found) == len(wanted) == 6
    assert any(labels_of(message) for message in wanted)
    for one, other in zip(found, wanted, strict=True):
        assert labels_of(one)[:1] == labels_of(other)[:1]


def labels_of(message):
    """Return the labels of what is seen, the surest or largest first."""
    return [row["label"] for row in message.get("detections", message.get("areas"))]

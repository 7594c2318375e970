"""The verbs of edge-calibrate as a person types them."""

from __future__ import annotations

import json

import cv2
import factories
import numpy as np
import pytest
from reference import tiny_model

from calibration import store
from calibration.cli import main
from edge.model.readers import manifest
from edge.model.readers.manifest import digest_of

pytestmark = pytest.mark.board

OBSERVE = ["observe", "m", "--images", "x", "-o", "r"]
FLAGS = ("--color", "rgb", "--mean", "127.5", "--std", "127.5,127.5,127.5", "--resize", "stretch")


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(4):
        coarse = np.random.default_rng(number).integers(0, 256, (6, 8, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{number}.png"), cv2.resize(coarse, (64, 48)))
    return folder


@pytest.fixture
def bare(tmp_path):
    path = tmp_path / "bare.tflite"
    path.write_bytes(tiny_model.build())
    return path


@pytest.fixture
def described(tmp_path):
    transform = factories.input_transform(size_wh=tiny_model.INPUT_WH)
    path = tmp_path / "described.tflite"
    path.write_bytes(manifest.append(tiny_model.build(), factories.manifest(input=transform), None))
    return path


def test_sample_observe_and_show_work_hand_in_hand(photos, bare, tmp_path, capsys):
    drawn, ranges = tmp_path / "list.json", tmp_path / "ranges.json"

    assert main(["sample", str(photos), "--count", "3", "--seed", "9", "-o", str(drawn)]) == 0
    observed = main(["observe", str(bare), "--list", str(drawn), *FLAGS, "-o", str(ranges)])
    assert observed == 0
    capsys.readouterr()
    assert main(["show", str(ranges)]) == 0

    shown = capsys.readouterr().out
    content = store.read(ranges)
    assert content.images_digest == json.loads(drawn.read_text())["digest"]
    assert (content.images, content.seed) == (3, 9)
    assert content.model_digest == digest_of(tiny_model.build())
    assert all(name in shown for name in tiny_model.NAMES)
    assert "0.0078431" in shown  # 2 / 255, the scale of the pinned input


def test_show_gives_json_that_reads_back(photos, bare, tmp_path, capsys):
    ranges = tmp_path / "ranges.json"
    main(["observe", str(bare), "--images", str(photos), *FLAGS, "-o", str(ranges)])
    capsys.readouterr()

    main(["show", str(ranges), "--json"])

    shown = json.loads(capsys.readouterr().out)
    assert shown == json.loads(ranges.read_text())


def test_a_model_with_a_manifest_needs_no_flags(photos, described, tmp_path):
    ranges = tmp_path / "ranges.json"

    assert main(["observe", str(described), "--images", str(photos), "-o", str(ranges)]) == 0

    assert store.read(ranges).transform.size_wh == tiny_model.INPUT_WH
    assert store.read(ranges).ranges["image"] == (0.0, 1.0)


def test_flags_against_a_manifest_are_misuse(photos, described, tmp_path, capsys):
    status = main(
        ["observe", str(described), "--images", str(photos), "--color", "bgr", "-o", "r.json"]
    )

    assert status == 2
    assert "leave out --color" in capsys.readouterr().err


def test_a_bare_model_without_flags_asks_for_them(photos, bare, capsys):
    status = main(["observe", str(bare), "--images", str(photos), "--color", "rgb", "-o", "r.json"])

    assert status == 2
    assert "add --mean --std --resize, as in: --color rgb" in capsys.readouterr().err


def test_sample_prints_its_list_where_no_file_is_named(photos, capsys):
    assert main(["sample", str(photos), "--count", "2"]) == 0

    assert len(json.loads(capsys.readouterr().out)["images"]) == 2


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        pytest.param(["sample", "no-such-folder"], "expected a folder of images", id="folder"),
        pytest.param(["show", "no-such-file"], "make it with: edge-calibrate observe", id="ranges"),
        pytest.param(
            ["observe", "no-such-model", "--images", ".", "-o", "r"], "no such file", id="model"
        ),
        pytest.param(
            ["observe", __file__, "--images", ".", "-o", "r"],
            "expected a TensorFlow Lite or ONNX model",
            id="foreign model",
        ),
    ],
)
def test_a_failure_is_one_sentence_and_status_1(argv, message, capsys):
    assert main(argv) == 1

    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert "Traceback" not in captured.err


@pytest.mark.parametrize(
    "argv",
    [
        pytest.param(["sample", "x", "--count", "0"], id="no images"),
        pytest.param([*OBSERVE, "--mean", "1,2"], id="two means"),
        pytest.param([*OBSERVE, "--mean", "nan"], id="a mean that is no number"),
        pytest.param([*OBSERVE, "--std", "inf,1,1"], id="an infinite std"),
        pytest.param([*OBSERVE, "--std", "0"], id="a std of 0"),
        pytest.param([*OBSERVE, "--std=-1"], id="a std below 0"),
        pytest.param(["observe", "m", "-o", "r"], id="no images named"),
        pytest.param([], id="no verb"),
    ],
)
def test_misuse_ends_with_status_2(argv):
    with pytest.raises(SystemExit) as caught:
        main(argv)

    assert caught.value.code == 2

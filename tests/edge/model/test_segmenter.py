"""The segmenter's stages on a net of plain arithmetic, alone and in the loop."""

import json
import tracemalloc
from dataclasses import replace

import cv2
import factories
import numpy as np
import pytest
from reference import tiny_segmenter

from edge import app, cli, running
from edge.capture.latest import CaptureThread, Turns
from edge.capture.options import SourceOptions
from edge.capture.synthetic import open_demo
from edge.config import reading as config
from edge.decode.segmentation import SegmentationHead
from edge.errors import ModelError
from edge.model import model_file
from edge.model.loaded import load_model
from edge.model.readers import manifest
from edge.pipeline import Behaviour, Pipeline
from edge.results.observation import STAGES
from edge.tasks import TASKS, describe
from edge.terminal.command import FAILED

pytestmark = pytest.mark.board

GREEN, BLUE = 1, 2
SIZE_WH = (320, 240)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "strongest.tflite"
    tiny_segmenter.write(path)
    return path


@pytest.fixture(scope="module")
def segmenter(path):
    return load_model(model_file.read(path))


def striped(width, height):
    """Return an image whose left half is blue and whose right half is green: B, G, R."""
    image = np.zeros((height, width, 3), np.uint8)
    image[:, : width // 2, 0] = 200
    image[:, width // 2 :, 1] = 200
    return image


@pytest.mark.parametrize(
    ("size_wh", "shape"),
    [
        pytest.param((320, 240), (12, 16), id="of the input's aspect"),
        pytest.param((640, 240), (6, 16), id="bars above and below"),
        pytest.param((240, 240), (12, 12), id="bars at the sides"),
    ],
)
def test_each_cell_of_the_frame_has_the_class_that_lies_there(segmenter, size_wh, shape):
    seen = segmenter(striped(*size_wh))
    assert (seen.class_ids.shape, seen.size_wh) == (shape, size_wh)
    half = shape[1] // 2
    assert (seen.class_ids[:, : half - 1] == BLUE).all()
    assert (seen.class_ids[:, half + 1 :] == GREEN).all()


def run(model, *, frames):
    observations = []
    tally = TASKS[model.task].tally(model.description)

    def keep(seen):
        observations.append(replace(seen, result=seen.result.copy()))
        tally.add(seen.result)

    with open_demo("", SourceOptions(size_wh=SIZE_WH, realtime=False)) as source:
        capture = CaptureThread(source, model.input_buffers(), camera="door")
        capture.start()
        try:
            pipeline = Pipeline(Turns([capture]), Behaviour(model), [keep])
            pipeline.run(max_frames=frames)
        finally:
            capture.stop()
    return observations, replace(pipeline.times.summary(), seen=tally.text())


def test_overlapping_the_stages_changes_no_map(segmenter):
    observations, _ = run(segmenter, frames=12)
    with open_demo("", SourceOptions(size_wh=SIZE_WH, realtime=False)) as source:
        for seen in observations:
            alone = segmenter(source.read(None).pixels)
            assert (seen.result.class_ids == alone.class_ids).all()
    assert len(observations) == 12


def test_a_segmenter_has_no_time_for_a_stage_that_it_does_not_have(segmenter):
    observations, summary = run(segmenter, frames=3)
    stages = {*STAGES} - {"suppress"}
    assert all(set(seen.stage_ms) == stages for seen in observations)
    assert set(summary.percentiles_ms) == stages | {"age"}
    assert all(0 <= low <= high for low, _, high in summary.percentiles_ms.values())


def test_the_summary_has_the_mean_area_of_each_class(segmenter):
    observations, summary = run(segmenter, frames=5)
    areas = np.mean([seen.result.area_ratios(3) for seen in observations], axis=0)
    assert areas.sum() == pytest.approx(1)
    assert "red" not in summary.seen
    assert f"blue {areas[BLUE]:.1%}" in summary.seen


def test_a_run_that_saw_background_only_says_so(segmenter):
    _, summary = run(segmenter, frames=0)
    assert summary.seen == "mean area: background only"


def test_a_frame_leaves_nothing_behind(segmenter):
    image = striped(320, 240)
    tracemalloc.start()
    for _ in range(100):  # NumPy keeps the shapes and strides of some views to use them again
        segmenter(image)
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(50):
        segmenter(image)
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 1000


def test_the_head_decides_what_a_model_is_opened_as(path):
    settings = config.load(None, {"model": {"file": path}})
    assert app.open_model(settings, app.model_file(settings), threads=1).task == "segmentation"
    settings = config.load(None, {})
    assert app.open_model(settings, app.model_file(settings), threads=1).task == "detection"


def test_labels_that_do_not_fit_the_output_are_refused(tmp_path, path, capsys):
    file = model_file.read(path)
    wrong = file.manifest.replace(labels=("red", "green"))
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(manifest.append(file.flatbuffer, wrong, None))
    with pytest.raises(ModelError, match=r"2 labels"):
        load_model(model_file.read(broken))
    settings = tmp_path / "door.toml"
    settings.write_text("[model]\nfile = 'broken.tflite'\n")
    assert cli.main(["check", str(settings)]) == FAILED
    assert "2 labels" in capsys.readouterr().err


@pytest.mark.parametrize("class_map", [True, False], ids=["with map", "areas only"])
def test_edge_run_writes_a_line_for_each_image(path, tmp_path, capfdbinary, class_map):
    (tmp_path / "photos").mkdir()
    for name, width in (("a.png", 320), ("b.png", 640)):
        cv2.imwrite(str(tmp_path / "photos" / name), striped(width, 240))
    settings = config.parse(
        {
            "model": {"file": path},
            "camera": {"source": f"images:{tmp_path / 'photos'}"},
            "output": {"class_map": class_map},
        }
    )
    summary = running.run(settings)
    lines = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert summary.frames == len(lines) == 2
    assert [line["frame"]["width_px"] for line in lines] == [320, 640]
    assert all(("class_map" in line) is class_map for line in lines)
    assert {area["label"] for area in lines[0]["areas"]} == {"green", "blue"}
    areas = {area["label"]: area["area_ratio"] for area in lines[0]["areas"]}
    assert f"blue {areas['blue']:.1%}" in dict(describe("edge/a/b/segmentation", lines[0])).values()


@pytest.mark.assets
def test_a_real_portrait_net_finds_the_same_person_as_float_and_as_int8(assets, tmp_path):
    image = cv2.imread(str(assets / "images" / "skimage" / "astronaut.png"))
    is_person = []
    for name in ("mnv3_seg_float", "mnv3_post_quant"):
        model = tmp_path / f"{name}.tflite"
        described = factories.manifest(
            input=factories.input_transform(
                size_wh=(256, 256), mean=(127.5,) * 3, std=(127.5,) * 3, padding=0
            ),
            outputs={"classes": "Identity"},
            head=SegmentationHead(activation="softmax"),
            labels=("background", "person"),
        )
        flatbuffer = (assets / "models" / "portrait_unet" / f"{name}.tflite").read_bytes()
        model.write_bytes(manifest.append(flatbuffer, described, None))
        seen = load_model(model_file.read(model))(image)
        is_person.append(seen.class_ids == 1)
    exact, quantized = is_person
    iou = (exact & quantized).sum() / (exact | quantized).sum()
    assert iou > 0.95  # 0.979 on x86
    assert exact[64, 112]  # the face
    assert not exact[20, 240]  # the wall

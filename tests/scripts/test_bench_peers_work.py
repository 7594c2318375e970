"""Every loop that needs LiteRT alone finds what this runtime finds, in a few frames of a clip."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

pytest.importorskip("psutil", reason="the benchmarks need the extra `dev`")

import bench_peers_files
from bench_peers_worker import Row, Worker

from edge.capture.synthetic import SCENES, SCENES_FOLDER, Scenes
from edge.errors import EdgeError
from edge.model.default import default_model_path

pytestmark = pytest.mark.board

FOUND = {"astronaut.jpg": ["person"], "chelsea.jpg": ["cat"], "coffee.jpg": ["cup", "dining table"]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return what the peers read, with a short, small clip that any OpenCV can write."""
    path = tmp_path_factory.mktemp("peers")
    bench_peers_files.write_network(path, default_model_path())
    writer = cv2.VideoWriter(
        str(path / "clip.mp4"), cv2.VideoWriter_fourcc(*"mp4v"), 30, (640, 360)
    )
    image = np.empty((360, 640, 3), np.uint8)
    scenes = Scenes()
    for index in range(8):
        scenes.render(index, out=image)
        writer.write(image)
    writer.release()
    return path


@pytest.mark.parametrize(
    "row",
    [
        pytest.param(Row("ours", "ours.py", "pipeline"), id="ours"),
        pytest.param(Row("loop", "litert.py", "raw"), id="loop"),
        pytest.param(Row("loop", "litert.py", "decoded"), id="decoded in the graph"),
    ],
)
def test_a_loop_runs_so_many_frames_and_finds_what_is_there(folder, row):
    with Worker(row, folder) as worker:
        assert {name: worker.labels(SCENES_FOLDER / name) for name, *_ in SCENES} == FOUND
        for source in ("clip", "ram"):
            window = worker.run(source, lead=6, frames=5)  # beyond the clip's end
            assert window["frames"] == 5
            assert window["detections"] >= 5  # the astronaut in each
            assert 0 < window["elapsed_s"] < 60
            assert window["cpu_s"] > 0


def test_the_bare_invoke_counts_its_frames(folder):
    with Worker(Row("bare", "ours.py", "bare"), folder) as worker:
        assert worker.run("clip", lead=1, frames=3)["frames"] == 3


def test_a_model_that_the_loops_cannot_decode_is_refused(tmp_path):
    path = tmp_path / "none.tflite"
    path.write_bytes(b"no model")
    with pytest.raises(EdgeError, match=r"none\.tflite"):
        bench_peers_files.write_network(tmp_path, path)

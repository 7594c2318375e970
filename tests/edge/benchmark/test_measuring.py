"""Short runs of real models: what is gathered, in which order, and what is said of odd ones."""

from __future__ import annotations

import json
import os
import shutil
import sys

import cv2
import numpy as np
import pytest

from edge import cli
from edge.benchmark import result as result_file
from edge.benchmark.measuring import Plan, histogram, measure
from edge.config.reading import parse
from edge.errors import SourceError
from edge.model.default import default_model_path
from edge.sensors import Sensors

pytestmark = pytest.mark.board

SHORT = Plan(duration_s=0.25, starts=0)


@pytest.fixture
def folder(tmp_path):
    """Return a folder of three images: a source that ends early."""
    for number in range(3):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((48, 64, 3), 80 * number, np.uint8))
    return tmp_path


def config(file=None, *, threads=1, **camera):
    return parse(
        {
            "camera": {"source": "demo:", "realtime": False} | camera,
            "model": {"file": file, "threads": threads},
        }
    )


def test_a_detector_and_a_segmenter_are_measured_in_turn(segmenter, tmp_path):
    turns = []

    found = measure(
        [config(), config(segmenter)],
        SHORT,
        sensors=Sensors(tmp_path, path=""),
        progress=lambda done, total: turns.append((done, total)),
    )

    assert turns[-1] == (10, 10)
    detector, other = found.rows
    starts = [(w.started_s, row.setting.model) for row in found.rows for w in row.windows]
    order = [name for _, name in sorted(starts)]
    # Turns alternate, and each round begins with the setting that the one before began with last.
    assert order == [
        name
        for number in range(5)
        for name in (detector.setting.model, other.setting.model)[:: 1 - 2 * (number % 2)]
    ]
    assert set(detector.stages) == {
        "capture", "preprocess", "invoke", "decode", "suppress", "publish", "age", "end to end",
    }  # fmt: skip
    assert "suppress" not in other.stages
    for row in found.rows:
        assert row.stages["invoke"].count == sum(w.frames for w in row.windows)
        assert row.stages["end to end"].p50_ms > row.stages["age"].p50_ms
        assert sum(row.histogram) == row.stages["invoke"].count
        assert all(window.cpu_ms > 0 for window in row.windows)
    assert found.absent[0] == "no temperature sensor"
    assert len(found.samples) >= 2
    assert any("short of 1024 frames or 60 s" in note for note in found.notes)


def test_a_source_that_ends_early_is_named_and_its_frames_are_kept(segmenter, folder, tmp_path):
    found = measure(
        [config(segmenter, source=f"images:{folder}")], SHORT, sensors=Sensors(tmp_path, path="")
    )

    row = found.rows[0]
    assert [window.frames for window in row.windows] == [3] * 5
    assert any("the source ended after 3 frames" in note for note in row.notes)


def test_a_looped_source_does_not_end(segmenter, folder, tmp_path):
    found = measure(
        [config(segmenter, source=f"images:{folder}", loop=True)],
        Plan(duration_s=2.0, starts=0),  # a busy machine gives no frame for 50 ms at times
        sensors=Sensors(tmp_path, path=""),
    )

    assert found.rows[0].notes == ()
    assert min(window.frames for window in found.rows[0].windows) > 3


def test_a_source_without_frames_is_an_error(segmenter, tmp_path):
    (tmp_path / "empty.png").write_bytes(b"")
    with pytest.raises(SourceError):
        measure([config(segmenter, source=f"file:{tmp_path / 'empty.png'}")], SHORT)


def test_a_paced_source_drops_nothing_and_keeps_its_rate(segmenter, tmp_path):
    found = measure(
        [config(segmenter, realtime=True, rate_hz=40)],
        Plan(duration_s=1.0, sustained_s=2.5, starts=0),
        sensors=Sensors(tmp_path, path=""),
    )

    assert found.live
    row = found.rows[0]
    assert len(row.sustained) == 2
    # The rate of the source, not of the interpreter; a busy machine can only be slower.
    assert all(part.rate_hz < 60 for part in row.sustained)


def test_bins_hold_every_time_once():
    times_ms = np.array([1.0, 1.0, 2.0, 3.0, 64.0])

    edges_ms, counts = histogram(times_ms)

    assert sum(counts) == len(times_ms)
    for edge_ms, done in zip(edges_ms, np.cumsum(counts), strict=True):
        assert done == (times_ms < edge_ms).sum() or edge_ms in times_ms


@pytest.mark.parametrize("windows", [5, 12, 24])
def test_a_duration_is_divided_into_windows(windows):
    plan = Plan(duration_s=5.0 * windows)

    assert plan.windows == windows
    assert plan.window_s * plan.windows == pytest.approx(plan.duration_s)


def bench(*arguments):
    return cli.main(["bench", *map(str, arguments)])


def test_the_command_prints_and_writes_what_compare_reads(segmenter, tmp_path, capsys):
    files = [tmp_path / "a.json", tmp_path / "b.json"]
    for path in files:
        assert bench(segmenter, "--duration", "250ms", "--starts", 1, "--json", path) == 0
    out = capsys.readouterr().out
    assert "end to end" in out
    assert "strongest, 1 thread" in out
    start = result_file.read(files[0]).rows[0].start
    assert start.first_result_s[0] > 0.05
    assert start.resident_mib > 20

    assert bench("compare", *files, "--json", tmp_path / "c.json") == 0

    assert "B / A (95 % interval)" in capsys.readouterr().out
    assert len(json.loads((tmp_path / "c.json").read_text())["figures"]) == 4


def test_a_page_is_written_beside_the_table(segmenter, tmp_path):
    pytest.importorskip("matplotlib", reason="pages need the extra `report`")
    page = tmp_path / "bench.html"

    assert bench(segmenter, "--duration", "250ms", "--starts", 0, "--html", page) == 0

    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(["compare", "--help"], "usage: edge bench compare", id="of compare"),
        pytest.param(["compare", "a.json", "-h"], "usage: edge bench compare", id="behind a file"),
        pytest.param(["--help"], "--duration TIME", id="of bench"),
    ],
)
def test_bench_and_its_compare_have_helps_of_their_own(words, said, capsys):
    with pytest.raises(SystemExit, match=r"^0$"):
        bench(*words)

    out = capsys.readouterr().out
    assert said in out
    assert ("--duration" in out) is (words == ["--help"])


def test_threads_are_settings_of_their_own(segmenter, tmp_path, capsys):
    path = tmp_path / "a.json"

    assert (
        bench(segmenter, "--threads", "1,2", "--duration", "250ms", "--starts", 0, "--json", path)
        == 0
    )

    assert [row.setting.threads for row in result_file.read(path).rows] == [1, 2]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(["compare", "a.json"], "expected: edge bench compare A.json B.json", id="one"),
        pytest.param(
            ["compare", "a.json", "b.json", "--html", "c.html", "--threads", "2", "--layers"],
            "edge bench compare takes no --threads or --layers or --html; leave it out",
            id="compare options",
        ),
        pytest.param(["--layers", "--html", "x"], "--layers writes no page", id="layers page"),
        pytest.param(["--layers", "--workers", "2"], "leave --workers out", id="layers workers"),
    ],
)
def test_misuse_is_told(arguments, said, capsys):
    assert bench(*arguments) == 2
    assert said in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_told(segmenter, tmp_path, capsys):
    path = tmp_path / "missing" / "a.json"

    assert bench(segmenter, "--duration", "250ms", "--starts", 0, "--json", path) == 1
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("scheme", ["images", "file"])
def test_a_relative_path_is_the_same_for_the_run_and_for_the_cold_start(
    scheme, segmenter, folder, tmp_path, monkeypatch
):
    monkeypatch.chdir(folder)
    path = tmp_path / "a.json"
    source = f"{scheme}:{'.' if scheme == 'images' else '0.png'}"

    assert bench(os.path.relpath(segmenter), "--source", source, "--loop", "--duration", "250ms",
                 "--starts", 1, "--json", path) == 0  # fmt: skip

    assert result_file.read(path).rows[0].start.first_result_s[0] > 0.05


def test_what_prevents_a_cold_start_is_a_note_and_the_run_is_kept(segmenter, folder, monkeypatch):
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    plan = Plan(duration_s=0.25, starts=1)

    found = measure([config(segmenter)], plan, sensors=Sensors(folder, path=""))

    row = found.rows[0]
    assert len(row.windows) == 5
    assert row.start is None
    assert row.notes == ("no cold start: edge run gave no result: it said nothing",)


def test_the_built_in_model_is_measured_by_default(tmp_path):
    path = tmp_path / "a.json"

    assert bench("--duration", "250ms", "--starts", 0, "--json", path) == 0

    assert result_file.read(path).rows[0].setting.file == default_model_path().name

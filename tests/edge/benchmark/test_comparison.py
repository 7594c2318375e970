"""Two results against each other."""

from __future__ import annotations

import pytest
from benchmark_results import HOST, result, row, window

from edge.benchmark import comparison
from edge.benchmark.result import Missing, Setting

pytestmark = pytest.mark.board


def windows(bare_ms, **changes):
    return [window(number, bare_ms=ms, **changes) for number, ms in enumerate(bare_ms)]


def figure(compared, name):
    return next(figure for figure in compared.figures if figure.name == name)


def test_a_faster_run_is_significantly_faster():
    slow = result(row(windows([8.0, 8.1, 8.0, 7.9, 8.0])))
    fast = result(row(windows([4.0, 4.1, 4.0, 4.0, 3.9])))

    found = figure(comparison.compare(slow, fast), "bare invoke, ms")

    assert found.ratio.value == 0.5
    assert found.verdict == "significant"


def test_a_run_against_itself_is_not():
    same = result(row(windows([8.0, 8.1, 8.0, 7.9, 8.0])))

    for found in comparison.compare(same, same).figures:
        assert found.ratio.value == 1
        assert found.verdict == "not significant"


def test_windows_that_disagree_give_no_ratio_and_say_so():
    steady = result(row(windows([8.0] * 5)))
    restless = result(row(windows([4.0, 6.0, 8.0, 10.0, 12.0])))

    compared = comparison.compare(steady, restless)

    assert figure(compared, "bare invoke, ms").ratio is None
    assert figure(compared, "frames/s").ratio is not None
    assert "no ratio: windows disagree by 50%" in comparison.render(compared)


def test_too_few_windows_give_no_ratio():
    few = result(row(windows([8.0] * 3)))

    compared = comparison.compare(few, few)

    assert {found.verdict for found in compared.figures} == {"no ratio: too few windows"}


def test_boards_runtimes_and_sources_that_differ_are_named():
    other = HOST.replace(board="Jetson Orin Nano", runtime="tflite-runtime 2.14.0", governor="")

    text = comparison.render(
        comparison.compare(result(), result(host=other, source="v4l2:/dev/video0"))
    )

    assert "board: Raspberry Pi 5 Model B Rev 1.0 in A, Jetson Orin Nano in B" in text
    assert "runtime: ai-edge-litert 2.3.0 in A, tflite-runtime 2.14.0 in B" in text
    assert "governor: ondemand in A, unknown in B" in text
    assert "source: demo: in A, v4l2:/dev/video0 in B" in text


def test_single_settings_are_compared_and_their_difference_is_named():
    other = Setting(model="tiny", file="tiny.tflite", digest="sha256:1", threads=4)

    compared = comparison.compare(result(), result(row(setting=other)))

    assert len(compared.figures) == len(comparison.FIGURES)
    assert "setting: tiny, 2 threads in A, tiny, 4 threads in B" in compared.differences


def test_different_delegates_are_named():
    cpu = Setting(model="tiny", file="tiny.tflite", digest="sha256:1", threads=2)
    tpu = cpu.replace(file="tiny.edgetpu.tflite", delegate="edgetpu")
    refused = Missing(setting=tpu, reason="no device")

    alone = comparison.compare(result(row(setting=cpu)), result(row(setting=tpu)))
    unloaded = comparison.compare(result(row(setting=cpu), missing=(refused,)), result())

    assert "delegate: cpu in A, edgetpu in B" in alone.differences
    assert unloaded.differences == ("not loaded in A: tiny, 2 threads, edgetpu",)


def test_settings_of_one_run_only_are_named_and_so_is_a_changed_file():
    four = Setting(model="tiny", file="tiny.tflite", digest="sha256:1", threads=4)
    changed = Setting(model="tiny", file="tiny.tflite", digest="sha256:2", threads=2)

    compared = comparison.compare(result(row(), row(setting=four)), result(row(setting=changed)))

    assert compared.differences == (
        "only A has tiny, 4 threads",
        "tiny is not the same file in A and B",
    )


def test_json_has_the_ratio_and_its_verdict():
    fields = comparison.fields(comparison.compare(result(), result()))

    assert fields["figures"][0] == {
        "setting": "tiny, 2 threads",
        "figure": "bare invoke, ms",
        "a": 8.0,
        "b": 8.0,
        "ratio": 1.0,
        "interval": [1.0, 1.0],
        "verdict": "not significant",
    }

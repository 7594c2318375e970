"""A known result as text and as a page."""

from __future__ import annotations

import pytest
from benchmark_results import result, row, window
from html_pages import read_page

from edge.benchmark import page, report
from edge.benchmark.report import limit
from edge.benchmark.result import Setting, Slice, Start

pytestmark = pytest.mark.board


@pytest.mark.parametrize(
    ("bare_ms", "cpu_ms", "rate_hz"),
    [
        pytest.param(8.0, 12.0, 1000 / 8, id="the interpreter"),
        pytest.param(2.0, 40.0, 4 * 1000 / 40, id="the cores"),
    ],
)
def test_the_limit_is_the_interpreter_alone_or_all_cores_at_work(bare_ms, cpu_ms, rate_hz):
    windows = [window(number, bare_ms=bare_ms, cpu_ms=cpu_ms) for number in range(5)]

    found = limit(row(windows), cores=4)

    assert found.rate_hz == rate_hz
    assert found.reached.median == pytest.approx(100 / rate_hz)


def test_several_workers_may_reach_as_many_times_the_rate_of_one():
    windows = [window(number, bare_ms=20.0, cpu_ms=22.0) for number in range(5)]
    two = Setting(model="tiny", file="tiny.tflite", digest="sha256:1", threads=1, workers=2)

    assert limit(row(windows, setting=two), cores=4).rate_hz == 2 * 1000 / 20.0
    assert two.title == "tiny, 2 workers of 1 thread"
    assert "2 workers of 1 thread" in report.render(result(row(windows, setting=two)))


def test_the_table_tells_the_share_of_the_limit():
    text = report.render(result())

    assert "0.800 (0.800 to 0.800)" in text
    assert "Raspberry Pi 5 Model B Rev 1.0, 4 cores" in text
    assert "governor ondemand" in text


def test_windows_that_disagree_give_no_share():
    frames = [50, 75, 100, 125, 150]
    windows = [window(number, frames=count) for number, count in enumerate(frames)]

    text = report.render(result(row(windows)))

    assert "no ratio: windows disagree by 50%" in text
    assert "0.800" not in text


def test_heat_and_throttling_are_told_and_absent_sensors_named():
    text = report.render(result())

    assert "temperature  50.0 °C at first, 81.5 at last" in text
    assert "in this run: soft temperature limit" in text
    assert "under-voltage since boot" in text
    assert "no power sensor\nno clock frequency" in text


def test_what_a_setting_met_is_noted():
    text = report.render(result(row(notes=("the source ended after 12 frames, 0.4 s",))))

    assert "note: tiny, 2 threads: the source ended after 12 frames, 0.4 s" in text


def test_a_sustained_run_tells_its_first_and_last_part():
    parts = tuple(Slice(at_s=10 * n, rate_hz=100 - n, end_to_end_p99_ms=20 + n) for n in range(60))

    text = report.render(result(row(sustained=parts)))

    assert "97.5 frames/s in the first tenth, 43.5 in the last (0.446)" in text
    assert "worst p99 of a part 79.00 ms" in text


def test_cold_starts_and_memory_stand_in_the_table():
    start = Start(first_result_s=(0.5, 0.25, 0.75), resident_mib=108.2)

    assert report.overview_cells(result(row(start=start)))[0][-2:] == ["108", "0.50"]


def test_the_page_needs_nothing_but_itself(tmp_path):
    pytest.importorskip("matplotlib", reason="pages need the extra `report`")
    parts = tuple(Slice(at_s=n, rate_hz=90, end_to_end_p99_ms=20) for n in range(3))
    path = tmp_path / "x.html"

    path.write_text(page.render(result(row(sustained=parts))), encoding="utf-8")

    shown = read_page(path)
    html = path.read_text(encoding="utf-8")
    assert shown.fetched == []
    assert html.count("<svg") == html.count("</svg>") == 3  # latency, rate, temperature
    assert "http" not in html
    text = " ".join(shown.texts)
    assert "soft temperature limit" in text
    assert "sha256:1" in text
    # Beside the columns that they explain, not behind everything.
    assert text.index("limit: frames/s") < text.index("reached: frames/s") < text.index("p50 ms")


def test_the_same_figures_give_the_same_page():
    pytest.importorskip("matplotlib", reason="pages need the extra `report`")
    assert page.render(result()) == page.render(result())


def test_a_models_name_cannot_write_html():
    pytest.importorskip("matplotlib", reason="pages need the extra `report`")
    evil = row().setting.replace(model="<script>")

    assert "<script>" not in page.render(result(row(setting=evil)))

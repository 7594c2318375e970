"""Reference figures: written, read again, and held against a new run."""

from __future__ import annotations

import bench_reference_file as reference
import pytest
from bench_reference_file import ELAPSED, Measured
from benchmark_results import HOST

from edge.benchmark.spread import spread
from edge.errors import SourceError

pytestmark = pytest.mark.board

COST = "CPU of a frame / CPU of a bare invoke"


def measured(*values, unit="ratio", figure=COST):
    return Measured(figure, unit, spread(values or [1.5, 1.51, 1.5, 1.49, 1.5]))


def judged(item, known, *, host=HOST, recorded_on=HOST):
    rows = reference.references(recorded_on, [known], threads=1)
    return reference.judge(host, [item], rows)[0]


def test_a_file_is_read_as_it_was_written(tmp_path):
    rows = reference.references(HOST, [measured(), measured(unit="MiB")], threads=2)
    path = tmp_path / "figures" / reference.file_name(HOST)

    reference.write(path, rows)

    assert path.name == "raspberry-pi-5-model-b-rev-1-0-4-cores.csv"
    assert reference.read(path) == rows
    head = path.read_text(encoding="utf-8").splitlines()[0]
    for column in ("board", "os", "runtime", "threads", "governor", "date", "median"):
        assert column in head.split(",")


@pytest.mark.parametrize(
    ("factor", "text", "is_worse"),
    [
        pytest.param(1.0, "as before", False, id="the same"),
        pytest.param(1.09, "as before", False, id="within the tolerance"),
        pytest.param(1.2, "worse", True, id="worse"),
        pytest.param(0.8, "better; record it", False, id="better"),
    ],
)
def test_a_figure_is_held_to_its_reference(factor, text, is_worse):
    verdict = judged(measured(*[1.5 * factor] * 5), measured(*[1.5] * 5))

    assert verdict.text == text
    assert verdict.is_worse is is_worse
    assert verdict.ratio == pytest.approx(factor)


@pytest.mark.parametrize(
    ("item", "known", "text"),
    [
        pytest.param(
            measured(*[99.0] * 5, unit="ms"), measured(unit="ms"), "other work moves it", id="ms"
        ),
        pytest.param(
            measured(2.0, 3.0, 4.0, 5.0, 6.0), measured(), "windows disagree by 50%", id="restless"
        ),
    ],
)
def test_what_tells_nothing_is_not_judged(item, known, text):
    verdict = judged(item, known)

    assert verdict.text == f"not judged: {text}"
    assert not verdict.is_worse


@pytest.mark.parametrize(
    ("load", "recorded_load", "text"),
    [
        pytest.param(0.9, 0.9, "worse", id="idle"),
        pytest.param(1.1, 0.0, "not judged: load 1.1 now", id="busy now"),
        pytest.param(0.0, 3.0, "not judged: load 3 when it was recorded", id="busy then"),
    ],
)
def test_elapsed_times_are_judged_on_an_idle_machine_only(load, recorded_load, text):
    verdict = judged(
        measured(*[9.0] * 5, unit=ELAPSED),
        measured(unit=ELAPSED),
        host=HOST.replace(load=load),
        recorded_on=HOST.replace(load=recorded_load),
    )

    assert verdict.text == text


def test_a_figure_without_a_reference_is_new():
    verdict = judged(measured(figure="else"), measured())

    assert (verdict.text, verdict.ratio) == ("new: no reference", None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(None, "make them with: scripts/bench --record", id="missing"),
        pytest.param("board,figure\nPi,x\n", "expected the columns board", id="columns"),
        pytest.param(b"\xff\xfe", "cannot be read", id="not text"),
    ],
)
def test_a_file_that_is_none_is_refused(text, said, tmp_path):
    path = tmp_path / "x.csv"
    if isinstance(text, bytes):
        path.write_bytes(text)
    elif text is not None:
        path.write_text(text)

    with pytest.raises(SourceError, match=said):
        reference.read(path)

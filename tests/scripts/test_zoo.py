"""Models as their tools write them run without an option, or ask; none is silently wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest
import zoo
from zoo_entries import entries
from zoo_models import Truth

pytestmark = pytest.mark.board
ENTRIES = {entry.name: entry for entry in entries()}


@pytest.mark.parametrize("name", ENTRIES)
def test_a_model_of_the_zoo_sees_what_it_must(name, tmp_path):
    entry = ENTRIES[name]
    row = zoo.run_made(entry, tmp_path)
    assert row.reached, row.fault
    assert bool(row.options) == bool(entry.answers)


def test_the_zoo_is_large_and_nearly_all_of_it_needs_no_option():
    assert len(ENTRIES) >= 40
    assert sum(not entry.answers for entry in ENTRIES.values()) >= zoo.LEAST_SHARE * len(ENTRIES)


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"color": "bgr"}, id="channels in another order"),
        pytest.param({"norm": (0.0, 1.0)}, id="another normalisation"),
        pytest.param({"resize": "stretch"}, id="another frame"),
    ],
)
def test_a_net_that_wants_its_pixels_otherwise_than_its_file_says_is_found_out(change, tmp_path):
    named = ENTRIES["YOLO exporter, v8, float32"]
    wrong = replace(named, truth=replace(Truth(), **change))
    net = type(named.data.args[0])(wrong.truth)
    wrong = replace(wrong, data=lambda: named.data.func(net))
    row = zoo.run_made(wrong, tmp_path)
    assert (row.reached, row.options, row.source) == (False, "", "its exporter's metadata")
    assert zoo.report([row], []) == 1


def test_a_report_says_what_was_asked(tmp_path, capsys):
    rows = [zoo.run_made(ENTRIES[name], tmp_path) for name in list(ENTRIES)[-2:]]
    zoo.report(rows, [zoo.Row("real/one.tflite", "nothing", "[input] color", fault="which order")])
    shown = capsys.readouterr().out
    assert "asked for color, mean, std" in shown
    assert "which order" in shown
    assert "silently wrong: 0" in shown


@pytest.mark.assets
def test_real_classifiers_see_a_cat(assets):
    for name in zoo.REAL:
        assert zoo.run_real(assets / "models" / name, assets).reached

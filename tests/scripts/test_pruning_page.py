"""The table of pruning says how far a lever goes that does not reach a speed."""

from __future__ import annotations

from pruning_page import tables


def row(what, value):
    return {
        "what": what, "input": "96x96", "speed": 1.25, "ms": 8.0, "mib": 0.5, "macs": 2e9,
        "from_whole": 0.30, "reference": 0.31, "value": value, "interval": [-0.04, -0.02],
    }  # fmt: skip


def test_rows_stand_as_they_were_made_and_a_refusal_in_its_place():
    log = [
        {"lever": "channels", "asked": "1.2 x, channels (taken)", "distance": 0.25,
         "cpu_s": 60.0, "wall_s": 70.0, "peak_gib": 1.5},
        {"lever": "rank", "asked": "1.2 x, rank",
         "refused": "expected 1.2 times as fast to be in reach, found 1.11 at most; ask for less"},
        {"lever": "both", "asked": "1.2 x, both", "refused": "no input lies between"},
    ]  # fmt: skip
    rows = [row("whole", 0.30), row("another's", 0.05), row("1.2 x, channels (taken)", 0.28)]
    result = {"log": log, "float_ms": 20.0, "rows": rows,
              "images": {"fitted and calibrated": 64, "judged": 100}}  # fmt: skip
    lines = tables({"net": result}).splitlines()
    assert [line.split(" | ")[1] for line in lines[3:8]] == [
        "whole", "1.2 x, channels (taken)", "1.2 x, rank", "1.2 x, both", "another's"
    ]  # fmt: skip
    assert lines[4] == (
        "| | 1.2 x, channels (taken) | 0.250 | 96x96 | 8.00 | 1.25 | 2.50 | 2.00 | 0.50 | 28.0 "
        "| -2.0 | -3.0 [-4.0, -2.0] |"
    )
    assert lines[5] == "| | 1.2 x, rank | | | | 1.11 at most | | | | | | |"
    assert lines[6] == "| | 1.2 x, both | | | | no input lies between | | | | | | |"
    assert lines[-1] == (
        "net: 60 s of CPU at most for a speed, 60 s for all, 1.50 GiB at most without the child "
        "that quantises; 64 images served, 100 others judged."
    )

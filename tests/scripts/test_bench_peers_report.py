"""The table of the peers: medians, reasons for what is missing, and where we are behind."""

from __future__ import annotations

import bench_peers
import pytest
from bench_peers import BARE, OURS, Measured
from bench_peers_worker import PeerError, Row


def measured(name, ms, *, labels=("cat",), reason=""):
    return Measured(
        Row(name, "x.py", ""),
        reason=reason,
        start_s=[0.5],
        clip_ms=ms,
        share=[4.0 / value for value in ms],
        cpu_ms=ms,
        ram_ms=ms,
        rss_mib=[100.0],
        labels=[list(labels)] * 3,
    )


@pytest.fixture
def rows():
    return [
        measured(BARE, [4.0, 4.0, 4.0], labels=()),
        measured(OURS, [4.0, 5.0, 9.0]),
        measured("faster", [2.5]),
        measured("slower", [50.0], labels=("dog",)),
        measured("gone", [], labels=(), reason="died with exit code -11"),
    ]


def test_a_row_is_the_median_with_least_and_greatest(rows):
    text = bench_peers.report(rows, ["--peers"])
    [line] = [line for line in text.splitlines() if line.startswith(f"| {OURS}")]
    assert "| 5.00 (4.00 to 9.00)" in line
    assert "| 200.0 (111.1 to 250.0)" in line
    assert "| 0.80 (0.44 to 1.00)" in line


def test_a_peer_that_does_not_run_is_a_row_with_its_reason(rows):
    text = bench_peers.report(rows, [])
    assert any(line.startswith("| gone") and "does not run" in line for line in text.splitlines())
    assert "- gone: died with exit code -11" in text


def test_who_is_ahead_is_said_and_the_limit_is_no_peer(rows):
    lines = bench_peers.remarks(rows)
    assert lines[0] == "- Ahead of us in ms/frame: faster (0.50 of ours)."
    assert lines[-1] == "- Ahead of us in start → first result: none."


def test_other_labels_than_ours_are_shown(rows):
    text = "\n".join(bench_peers.same_work(rows))
    assert "faster: the same in 3 of 3" in text
    assert "slower: the same in 0 of 3, found [['dog'], ['dog'], ['dog']]" in text


def test_a_peer_that_dies_in_a_round_is_out_and_the_others_go_on():
    class Dying:
        def run(self, source, *, lead, frames):
            raise PeerError("died with exit code 1")

        def close(self):
            pass

    class Living(Dying):
        def run(self, source, *, lead, frames):
            return {"frames": frames, "elapsed_s": 1.0, "cpu_s": 1.0, "rss_mib": 1.0}

    rows = [
        Measured(Row(name, "x.py", ""), worker=worker, frames=100)
        for name, worker in ((BARE, Living()), (OURS, Living()), ("weak", Dying()))
    ]
    for number in range(3):
        bench_peers.one_round(rows, number, source="clip")
    assert [len(row.clip_ms) for row in rows] == [3, 3, 0]
    assert rows[1].share == [1.0, 1.0, 1.0]
    assert rows[2].reason == "died with exit code 1"

"""What a setting is loaded with, and how often its source is opened."""

from __future__ import annotations

import os

import pytest

from edge.benchmark import rig
from edge.benchmark.measuring import Plan, measure
from edge.capture.registry import open_source
from edge.config.reading import parse
from edge.model.backends.litert import runtime_module
from edge.sensors import Sensors

pytestmark = pytest.mark.board


def config(file, *, threads):
    return parse(
        {
            "camera": {"source": "demo:", "realtime": False},
            "model": {"file": file, "threads": threads},
        }
    )


def test_the_source_is_opened_for_its_runs_and_no_more(segmenter, tmp_path, monkeypatch):
    opened = []

    def open_counted(uri, options):
        opened.append(uri)
        return open_source(uri, options)

    monkeypatch.setattr(rig, "open_source", open_counted)
    plan = Plan(duration_s=0.25, starts=0)

    found = measure([config(segmenter, threads=1)], plan, sensors=Sensors(tmp_path, path=""))

    assert not found.live
    assert len(opened) == 1 + len(found.rows[0].windows)  # the warm-up, and each window


def test_the_threads_are_counted_once_before_the_process_is_confined(segmenter, monkeypatch):
    cores = {0: {0, 1, 2, 3}}  # of every thread, which starts with its parent's: here all have one
    seen = []
    interpreter = runtime_module().Interpreter

    def open_counted(*arguments, **options):
        seen.append((options["num_threads"], frozenset(cores[0])))
        return interpreter(*arguments, **options | {"num_threads": 1})

    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(cores[pid]))
    monkeypatch.setattr(os, "sched_setaffinity", lambda pid, wanted: cores.update({pid: wanted}))
    monkeypatch.setattr(runtime_module(), "Interpreter", open_counted)

    rigs, _ = rig.load_rigs([config(segmenter, threads=0)])

    assert rigs[0].setting.threads == 3
    assert seen[-1] == (3, {1, 2, 3})

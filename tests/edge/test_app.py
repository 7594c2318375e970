"""What the configuration opens, and on which cores."""

from __future__ import annotations

import pytest

from edge import app, cores
from edge.config.reading import parse

pytestmark = pytest.mark.board


@pytest.fixture
def four_cores(monkeypatch):
    """Pretend to have four cores; return what each thread was confined to, one after the other."""
    affinity = [frozenset(range(4))]
    monkeypatch.setattr(cores.os, "sched_getaffinity", lambda _: set(affinity[-1]))
    monkeypatch.setattr(
        cores.os, "sched_setaffinity", lambda _, wanted: affinity.append(frozenset(wanted))
    )
    monkeypatch.setattr(cores, "CLAIM", "\0edge-vision-test-cores")
    return affinity


def test_a_board_of_four_cores_runs_three_interpreter_threads(four_cores, monkeypatch):
    asked = []
    real = app.open_model

    def open_model(config, file, *, threads):
        asked.append((threads, four_cores[-1]))
        return real(config, file, threads=1)

    monkeypatch.setattr(app, "open_model", open_model)
    with app.opened(parse({"camera": {"source": "demo:"}})) as parts:
        assert parts.cores == cores.Cores(frozenset({1, 2, 3}), frozenset({0}))

    assert asked == [(3, frozenset({1, 2, 3}))]


@pytest.mark.parametrize(
    ("configured", "expected"),
    [pytest.param(0, 3, id="one a core, less one"), pytest.param(2, 2, id="as configured")],
)
def test_the_rows_of_a_benchmark_say_how_many_threads_ran(four_cores, configured, expected):
    from edge.benchmark.rig import Rig  # noqa: PLC0415

    config = parse({"model": {"threads": configured}})

    assert (
        Rig(config, app.model_file(config), available=cores.available_cores()).setting.threads
        == expected
    )

"""Steps run two at a time: what one needs of others is there, and one that fails ends only that."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from boardtest import sequence, steps

pytestmark = pytest.mark.board


@pytest.fixture
def go(monkeypatch):
    """Return a function that goes through steps which fail as asked; it gives what was done."""
    monkeypatch.setattr(steps, "FIGURES", {})
    monkeypatch.setattr(sequence, "FAILED", set())

    def go(*names, failing=()):
        done = []

        @contextmanager
        def rig(name, *_):
            yield SimpleNamespace(name=name, recordings=[f"{name} wrote"])

        def step(it, _):
            if it.name in failing:
                raise steps.TestFailed(it.name)
            done.append(it.name)

        def power_cuts(_, __, recordings, counts):
            done.append(("cuts", recordings, counts))

        monkeypatch.setattr(sequence.pi, "prepared", lambda: ("image", "bundles"))
        monkeypatch.setattr(sequence.pi, "rig", rig)
        monkeypatch.setattr(sequence.pi, "flash", lambda _: "stock")
        monkeypatch.setattr(sequence, "_pi", step)
        monkeypatch.setattr(sequence, "_pages", step)
        monkeypatch.setattr(sequence.power, "updates", step)
        monkeypatch.setattr(sequence.power, "power_cuts", power_cuts)
        sequence.run(SimpleNamespace(seed=1, boots=1, cuts=[3, 2, 1], whole=False), list(names))
        return done

    return go


def test_power_cuts_come_after_what_they_cut(go):
    done = go("cuts", "pages")

    cuts = ("cuts", ["pi wrote", "update wrote"], [3, 2, 1])
    assert sorted(map(str, done)) == sorted(map(str, ["pi", "update", "pages", cuts]))
    assert done.index(cuts) > max(done.index("pi"), done.index("update"))
    assert not sequence.FAILED


def test_a_step_alone_runs_alone(go):
    assert go("update") == ["update"]
    assert go("pages") == ["pages"]


def test_one_that_fails_takes_power_cuts_with_it_and_no_other(go):
    assert sorted(go("cuts", "pages", failing=["update"])) == ["pages", "pi"]

    assert {"update"} == sequence.FAILED


def test_what_no_step_expects_ends_all(go, monkeypatch):
    def broken(_):
        raise OSError("no space")

    monkeypatch.setattr(sequence.power, "Cuts", lambda *_: broken(_))

    with pytest.raises(OSError, match="no space"):
        go("cuts")

"""Of cards that power cuts leave, all are looked at, and one of each content is booted."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
from boardtest import power, steps

pytestmark = pytest.mark.board

RUNNING = SimpleNamespace(what="running", before=None, log=None, span=None, allowed={"old"})
UPDATE = SimpleNamespace(what="an update", before=None, log=None, span=None, allowed={"old", "new"})


@pytest.fixture
def look(tmp_path, monkeypatch):
    """Return a function that cuts the power; a card is its state and a letter for its content."""
    booted = []
    monkeypatch.setattr(steps, "FIGURES", {})
    monkeypatch.setattr(power, "_boots", lambda *given: booted.append(given[3]) or 60.0)

    def look(*cards, recordings=(RUNNING,), boots=9):
        left = iter(cards)

        @contextmanager
        def rig(*_):
            yield SimpleNamespace(work=tmp_path)

        @contextmanager
        def mounted(_):
            yield Path(next(left))

        monkeypatch.setattr(power, "rig", rig)
        monkeypatch.setattr(power.cuts, "cut", lambda *_, **more: more["at"])
        monkeypatch.setattr(power.cuts, "points", lambda *given: list(range(given[2])))
        monkeypatch.setattr(power.cuts, "mounted", mounted)
        monkeypatch.setattr(power.cuts, "state", lambda root: str(root).split()[0])
        monkeypatch.setattr(power.cuts, "content", lambda _, root: str(root))
        them = power.Cuts((tmp_path, tmp_path), 1, boots)
        counts = [len(cards) // len(recordings)] * len(recordings)
        with ThreadPoolExecutor(1) as pool:
            power.power_cuts(them, pool, recordings, counts)
        return booted

    return look


def test_of_cards_that_are_the_same_one_is_booted(look):
    booted = look("old a", "old b", "old a", "old c", "old b")

    assert [where.split(",")[1] for where in booted] == [
        " cut at request 0", " cut at request 1", " cut at request 3",
    ]  # fmt: skip
    assert steps.FIGURES["power cuts that left the old or the new whole"] == "5 of 5"
    assert steps.FIGURES["cards of these that differ"] == 3
    assert steps.FIGURES["of these booted, and back to detections"] == "3, after 60 to 60 s"
    assert steps.FIGURES["cards that these boots stand for"] == "5 of 5"


def test_the_same_content_is_booted_for_each_recording_as_it_allows_something_else(look):
    assert len(look("old a", "old a", recordings=(RUNNING, UPDATE))) == 2


def test_fewer_are_booted_if_so_asked_and_all_are_looked_at(look):
    assert len(look("old a", "old b", "old a", "old c", boots=1)) == 1
    assert steps.FIGURES["cards of these that differ"] == 3
    assert steps.FIGURES["cards that these boots stand for"] == "2 of 4"


def test_a_card_with_something_else_fails_after_the_others_were_looked_at(look):
    with pytest.raises(steps.TestFailed, match="cut at request 1, 1 blocks lost: on the card"):
        look("old a", "half b", "old c")

    assert steps.FIGURES["power cuts that left the old or the new whole"] == "2 of 3"
    assert "cards that these boots stand for" not in steps.FIGURES

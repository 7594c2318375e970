"""An update is watched, and taken back where it is not well."""

from __future__ import annotations

import json

import pytest
from board_bundles import CONFIG, FULL, install_into, stand_in, write_bundle

from boards.device import health, updates
from boards.device.place import Place
from edge.errors import BoardError

pytestmark = pytest.mark.board


GOOD = {"frames": 100, "published": 10, "acknowledged": 9, "broker": "connected"}


def result(place: Place) -> dict:
    return json.loads((place.state / "update.json").read_text())


class Life:
    """A service that writes how it goes while a clock is waited for."""

    def __init__(self, place: Place, *looks: dict) -> None:
        self.now_s, self.looks = 0.0, looks
        self.path = place.root / "run/edge/health.json"
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def sleep(self, seconds: float) -> None:
        self.now_s += seconds
        at = int(self.now_s // 5)
        if at < len(self.looks):
            self.path.write_text(json.dumps({"since_start_s": self.now_s, **self.looks[at]}))

    def judged(self, place: Place) -> str:
        return health.wait(place, "new", clock=lambda: self.now_s, sleep=self.sleep)


def looks(**changes: object) -> list[dict]:
    counts = [{"frames": 100 * n, "published": n, "acknowledged": n} for n in range(1, 13)]
    return [{**GOOD, "release": "new", **each, **changes} for each in counts]


@pytest.mark.parametrize(
    ("seen", "fault"),
    [
        pytest.param(looks(), "", id="frames and messages"),
        pytest.param(looks(broker=None, acknowledged=0), "", id="no broker"),
        pytest.param(looks(published=0, acknowledged=0), "", id="nothing to be told yet"),
        pytest.param(looks(release="old"), "said nothing of itself", id="another release"),
        pytest.param([], "said nothing of itself", id="no word"),
        pytest.param(looks(frames=7), "no camera gave a frame", id="no frames"),
        pytest.param(looks(acknowledged=0), "took no message", id="a broker that takes nothing"),
        pytest.param(looks(broker="away"), "could not be reached", id="no connection"),
        pytest.param(
            [{**each, "since_start_s": 2} for each in looks()], "did not last", id="starts anew"
        ),
        pytest.param([{"release": "new", "frames": "many"}] * 12, "no camera gave", id="nonsense"),
    ],
)
def test_health_is_frames_that_came_out_and_messages_that_were_taken(place, seen, fault):
    said = Life(place, *seen).judged(place)

    assert fault in said
    assert bool(said) == bool(fault)


def test_what_the_service_plants_in_place_of_its_health_is_not_read(place, tmp_path):
    (tmp_path / "other.json").write_text(json.dumps(looks()[0]))
    life = Life(place)
    life.path.symlink_to(tmp_path / "other.json")

    assert "said nothing" in life.judged(place)


def test_an_update_that_is_not_well_is_taken_back_and_the_next_one_is_not(
    place, root, tmp_path, monkeypatch
):
    install_into(root, write_bundle(tmp_path / "a", FULL))
    old = place.current.resolve()
    monkeypatch.setattr(updates.system, "restart", lambda _: "no frame came")
    new = write_bundle(tmp_path / "b", {"device.toml": CONFIG + "# new\n"})

    with pytest.raises(BoardError, match=r"was taken back, .* runs again: no frame came"):
        install_into(root, new)

    assert place.current.resolve() == old
    assert result(place)["state"] == "rolled back"
    assert [path.name for path in (root / "opt/edge/releases").iterdir()] == [old.name]
    monkeypatch.undo()
    stand_in(monkeypatch)
    install_into(root, new)
    assert place.current.resolve() != old


@pytest.mark.parametrize(
    ("runs", "verb"), [("old", "restart"), ("new", "start"), ("none yet", "start")]
)
def test_an_update_that_was_killed_starts_the_new_release_where_the_old_one_still_runs(
    place, tmp_path, monkeypatch, runs, verb
):
    install_into(place.root, write_bundle(tmp_path / "a", FULL))
    old = place.current.resolve().name
    install_into(place.root, write_bundle(tmp_path / "b", {"device.toml": CONFIG + "# new\n"}))
    new = place.current.resolve().name
    pending = {"new": new, "old": old, "older": "", "is_asked": False, "resumed": False}
    (place.state / "pending.json").write_text(json.dumps(pending))
    if runs != "none yet":
        (place.root / "run/edge").mkdir(parents=True)
        seen = {"release": {"old": old, "new": new}[runs]}
        (place.root / "run/edge/health.json").write_text(json.dumps(seen))
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(Place, "run_live", lambda _, *command, **__: ran.append(command) or "")

    updates.resume(place)

    assert ("systemctl", verb, "edge.service") in ran
    assert place.current.resolve().name == new


def test_an_update_that_is_stopped_by_ctrl_c_stays_on_probation_however_often(
    place, root, tmp_path, monkeypatch
):
    install_into(root, write_bundle(tmp_path / "a", FULL))
    new = write_bundle(tmp_path / "b", {"device.toml": CONFIG + "# new\n"})
    said: list[str] = []

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(updates, "_start", interrupt)
        with pytest.raises(KeyboardInterrupt):
            install_into(root, new, said=said)
        for _ in range(3):
            with pytest.raises(KeyboardInterrupt):
                updates.resume(place)
    runs = place.current.resolve()

    assert "is not watched to its end" in said[-1]
    updates.resume(place)
    assert place.current.resolve() == runs
    assert result(place)["state"] == "done"


def test_what_became_of_an_update_is_said_once(root, tmp_path, monkeypatch):
    install_into(root, write_bundle(tmp_path / "a", FULL))
    monkeypatch.setattr(updates.system, "restart", lambda _: "no frame came")
    said: list[str] = []

    with pytest.raises(BoardError, match="was taken back"):
        install_into(
            root, write_bundle(tmp_path / "b", {"device.toml": CONFIG + "# new\n"}), said=said
        )

    assert not [line for line in said if "was taken back" in line]


def test_a_rollback_runs_the_release_before_and_another_one_comes_back(place, root, tmp_path):
    install_into(root, write_bundle(tmp_path / "a", FULL))
    old = place.current.resolve()
    install_into(root, write_bundle(tmp_path / "b", {"device.toml": CONFIG + "# new\n"}))
    new = place.current.resolve()

    updates.back(place)
    assert (place.current.resolve(), place.previous.resolve()) == (old, new)

    updates.back(place)
    assert (place.current.resolve(), place.previous.resolve()) == (new, old)


def test_a_rollback_with_nothing_before_is_a_sentence(place, root, tmp_path):
    install_into(root, write_bundle(tmp_path / "a", FULL))

    with pytest.raises(BoardError, match="expected a release before, found none"):
        updates.back(place)

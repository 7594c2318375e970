from __future__ import annotations

import json
import os

import pytest

from edge.doctor import service

pytestmark = pytest.mark.board

UNIT = "etc/systemd/system/edge.service"


def said(**changes):
    facts = {
        "LoadState": "loaded",
        "ActiveState": "active",
        "UnitFileState": "enabled",
        "NRestarts": "0",
        "Result": "success",
        "StatusText": "29.9 frames/s from 1 of 1 cameras; broker connected",
    }
    return "\n".join(f"{name}={value}" for name, value in (facts | changes).items())


@pytest.mark.parametrize(
    ("changes", "state", "mend"),
    [
        pytest.param({}, "ok", "", id="runs"),
        pytest.param({"ActiveState": "failed"}, "wrong", "journalctl", id="failed"),
        pytest.param({"ActiveState": "inactive"}, "wrong", "enable --now", id="stopped"),
        pytest.param({"UnitFileState": "disabled"}, "warning", "enable", id="not at boot"),
        pytest.param({"Result": "watchdog"}, "warning", "journalctl", id="watchdog"),
        pytest.param({"LoadState": "not-found"}, "not applicable", "", id="not installed"),
    ],
)
def test_the_service_is_read_as_systemd_tells_it(system, changes, state, mend):
    found = service.service(system(programs={"systemctl": said(**changes)}))

    assert (found.state, mend in found.mend) == (state, True)


def test_kills_by_the_watchdog_in_this_boot_are_told(system):
    told = {"systemctl": said(NRestarts="3"), "journalctl": "edge.service: Watchdog timeout"}

    found = service.service(system(programs=told))

    assert (found.state, "watchdog" in found.found) == ("warning", True)


@pytest.mark.parametrize(
    ("failed", "state"), [(0, "ok"), (1, "ok"), (2, "warning"), (5, "wrong"), (9, "wrong")]
)
def test_starts_that_failed_end_in_safe_mode(system, failed, state):
    kept = {"failed": failed, "reason": "the camera is on fire"}

    found = service.starts(
        system({"var/lib/edge-vision/starts-0123456789ab.json": json.dumps(kept)})
    )

    assert found.state == state
    assert state == "ok" or "on fire" in found.found


@pytest.mark.parametrize(
    ("changes", "age_s", "state"),
    [
        pytest.param({}, 0, "ok", id="well"),
        pytest.param({}, 300, "wrong", id="old"),
        pytest.param({"frames": 0}, 0, "wrong", id="no frame"),
        pytest.param({"frames": 0, "since_start_s": 4.0}, 0, "ok", id="no frame yet"),
    ],
)
def test_health_is_frames_that_come_out_now(system, changes, age_s, state):
    facts = {"frames": 812, "published": 99, "acknowledged": 99, "broker": "connected"}
    host = system({"run/edge/health.json": json.dumps(facts | {"since_start_s": 60.0} | changes)})
    path = host.root / "run/edge/health.json"
    written_s = path.stat().st_mtime - age_s
    os.utime(path, (written_s, written_s))

    assert service.health(host).state == state


def test_a_damaged_file_counts_as_none(system):
    host = system(
        {"run/edge/health.json": '{"frames": ', "var/lib/edge-vision/starts-1.json": "[]"}
    )

    assert service.health(host).state == service.starts(host).state == "not applicable"


def test_what_an_update_left_undone_is_told(system):
    release = {"opt/edge/releases/0123456789ab/bundle.json": "{}"}
    link = {"opt/edge/current": "releases/0123456789ab"}
    host = system(release, links=link)
    assert service.install(host).found == "0123456789ab; never updated"

    host = system({"opt/edge/releases/fedcba987654.tmp/bundle.json": "{}"})
    assert service.install(host).state == "warning"

    (host.root / "opt/edge/releases/0123456789ab/bundle.json").unlink()
    (host.root / "opt/edge/releases/0123456789ab").rmdir()
    assert service.install(host).state == "wrong"


@pytest.mark.parametrize(
    ("state", "finding"),
    [("done", "ok"), ("watching", "warning"), ("rolled back", "warning"), ("unwell", "wrong")],
)
def test_how_the_last_update_went_is_told_in_its_own_words(system, state, finding):
    said = json.dumps({"state": state, "message": "no camera gave a frame"})
    host = system(
        {
            "var/lib/edge-install/update.json": said,
            "opt/edge/releases/0123456789ab/bundle.json": "{}",
        },
        links={"opt/edge/current": "releases/0123456789ab"},
    )

    found = service.install(host)

    assert (found.state, "no camera gave a frame" in found.found) == (finding, True)

"""The state folder: systemd's, else the user's own, else none."""

from __future__ import annotations

from pathlib import Path

import pytest

from edge.config.paths import state_folder

pytestmark = pytest.mark.board

NAMES = ("STATE_DIRECTORY", "XDG_STATE_HOME", "HOME")


@pytest.mark.parametrize(
    ("environment", "folder"),
    [
        pytest.param({"STATE_DIRECTORY": "/var/lib/edge"}, "/var/lib/edge", id="systemd"),
        pytest.param({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}, "/var/lib/a", id="several"),
        pytest.param({"XDG_STATE_HOME": "/data", "HOME": "/h"}, "/data/edge-vision", id="XDG"),
        pytest.param(
            {"XDG_STATE_HOME": "relative", "HOME": "/h"}, "/h/.local/state/edge-vision",
            id="a relative XDG is ignored",
        ),
        pytest.param({"HOME": "/h"}, "/h/.local/state/edge-vision", id="the user's own"),
    ],
)  # fmt: skip
def test_the_folder_is_that_of_the_environment(monkeypatch, environment, folder):
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert state_folder() == Path(folder)


def test_a_user_without_a_home_has_none(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(Path, "home", homeless)

    assert state_folder() is None

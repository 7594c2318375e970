from __future__ import annotations

import time

import pytest

from edge.doctor import checkup
from edge.doctor.host import ok
from edge.errors import ConfigError

pytestmark = pytest.mark.board


def only(monkeypatch, check):
    monkeypatch.setattr(checkup, "CHECKS", {"it": (check, "it matters")})


def test_every_check_comes_back_from_an_empty_system(system):
    found = checkup.look(system(), limit_s=60)

    assert list(found) == list(checkup.CHECKS)
    states = {each.state for each in found.values()}
    assert states <= {"ok", "not applicable"}, {
        name: each for name, each in found.items() if each.mend
    }


def test_a_check_that_hangs_is_left_alone_and_said(system, monkeypatch):
    only(monkeypatch, lambda _: time.sleep(600) or ok(""))

    found = checkup.look(system(), limit_s=0.05)["it"]

    assert (found.state, "no answer" in found.found) == ("warning", True)


def _raises(error):
    def check(_):
        raise error

    return check


@pytest.mark.parametrize(
    ("error", "state", "says"),
    [
        (ConfigError("gone; give its path"), "wrong", "gone"),
        (ModuleNotFoundError("no", name="msgspec"), "wrong", "cannot import msgspec"),
        (PermissionError(13, "no", "/etc/edge/secrets"), "not applicable", "sudo edge doctor"),
        (OSError(5, "Input/output error"), "warning", "Input/output error"),
    ],
)
def test_what_a_check_meets_is_a_finding_of_its_own(system, monkeypatch, error, state, says):
    only(monkeypatch, _raises(error))

    found = checkup.look(system(), limit_s=60)["it"]

    assert (found.state, says in found.found) == (state, True)

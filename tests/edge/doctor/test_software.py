from __future__ import annotations

import sys
from pathlib import Path

import pytest

from edge.doctor import software
from edge.doctor.host import Host

pytestmark = pytest.mark.board

LIVE = Host(Path("/"))


@pytest.fixture(autouse=True)
def _patient(monkeypatch):
    """Let the child import for as long as a busy machine takes."""
    monkeypatch.setattr(software, "IMPORT_TIMEOUT_S", 300.0)


def test_this_python_and_its_packages_are_as_they_should_be():
    found = [check(LIVE) for check in (software.python, software.packages, software.imports)]

    assert [each.state for each in found] == ["ok", "ok", "ok"]
    assert "OpenCV" in found[2].found


def test_a_32_bit_python_is_wrong(monkeypatch):
    monkeypatch.setattr(sys, "maxsize", 2**31 - 1)

    found = software.python(LIVE)

    assert (found.state, "32 bit" in found.found) == ("wrong", True)


def test_a_package_that_is_missing_is_named(monkeypatch):
    wanted = ["msgspec>=0.20", "no-such-thing<2", "jinja2>=3 ; extra == 'report'"]
    monkeypatch.setattr(software.metadata, "requires", lambda _: wanted)

    found = software.packages(LIVE)

    assert (found.state, found.found) == ("wrong", "missing: no-such-thing")


@pytest.mark.parametrize(
    ("code", "says"),
    [
        pytest.param("print('numpy 2'); raise ImportError('ABI')", "behind numpy: Imp", id="abi"),
        pytest.param("import os; os.kill(os.getpid(), 4)", "killed by signal 4", id="crash"),
    ],
)
def test_packages_that_do_not_fit_are_named_by_the_last_that_did(monkeypatch, code, says):
    monkeypatch.setattr(software, "IMPORTS", code)

    found = software.imports(LIVE)

    assert (found.state, says in found.found) == ("wrong", True)


def test_of_a_system_in_a_folder_no_python_is_judged(tmp_path):
    host = Host(tmp_path)

    checks = (software.python, software.packages, software.imports)
    assert {check(host).state for check in checks} == {"not applicable"}

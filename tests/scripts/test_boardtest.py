"""The steps of scripts/board-test: made once, held to what they say, read from a serial line."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
from boardtest import __main__ as command
from boardtest import host, steps
from boardtest.machine import Machine

pytestmark = pytest.mark.board


@pytest.fixture
def make(tmp_path, monkeypatch):
    """Return a function that makes a step, and the list of how often each was made."""
    monkeypatch.setattr(steps, "CACHE", tmp_path / "cache")
    calls = []

    def make(name, *inputs):
        def fill(folder):
            calls.append(name)
            (folder / "file").write_text(repr(inputs))

        return steps.made(name, inputs, fill)

    return make, calls


def test_a_step_is_made_once_of_the_same_and_again_of_something_else(make, tmp_path):
    made, calls = make
    path = tmp_path / "input"
    path.write_text("old")

    first = made("card", path, {"size": 1})
    assert made("card", path, {"size": 1}) == first
    assert calls == ["card"]

    path.write_text("new")
    second = made("card", path, {"size": 1})
    third = made("card", path, {"size": 2})
    assert calls == ["card"] * 3
    assert len({first, second, third}) == 3
    assert third.is_dir()
    assert sum(folder.exists() for folder in (first, second)) == 0


def test_a_folder_counts_by_the_names_and_contents_of_its_files(make, tmp_path):
    made, calls = make
    folder = tmp_path / "inputs"
    folder.mkdir()
    (folder / "a").write_text("1")
    made("card", folder)

    (folder / "a").rename(folder / "b")
    made("card", folder)
    (folder / "b").write_text("2")
    made("card", folder)
    made("card", folder)

    assert calls == ["card"] * 3


def test_a_step_that_ended_half_made_is_made_again(make, tmp_path, monkeypatch):
    made, calls = make

    def fail(folder):
        (folder / "half").write_text("")
        raise steps.TestFailed("no network")

    with pytest.raises(steps.TestFailed, match="no network"):
        steps.made("card", ["x"], fail)

    folder = made("card", "x")

    assert [path.name for path in folder.iterdir()] == ["file"]
    assert calls == ["card"]


def test_what_does_not_hold_ends_it_with_its_figure(capsys):
    steps.check("memory, MiB", holds=True, figure=97)
    with pytest.raises(steps.TestFailed, match="FAILED: whole"):
        steps.check("whole", holds=None, figure="half")

    assert capsys.readouterr().out.splitlines() == [
        "ok      memory, MiB: 97", "FAILED  whole: half",
    ]  # fmt: skip


def test_a_program_that_fails_says_what_it_complained_of():
    assert steps.run("echo", "done") == "done\n"
    with pytest.raises(steps.TestFailed, match="no such thing"):
        steps.run("sh", "-c", "echo no such thing >&2; exit 3")


def test_what_is_said_beside_others_begins_with_its_name(capsys):
    token = steps.NAME.set("pages")
    steps.say("one")
    steps.NAME.reset(token)
    steps.say("two")

    assert capsys.readouterr().out.splitlines() == ["pages:  one", "two"]


def test_two_brokers_have_ports_of_their_own():
    ports = {host.free_port() for _ in range(3)}

    assert min(ports) > 1023
    for port in ports:
        with socket.create_server(("127.0.0.1", port)):
            pass


SERIAL = """\
[    9.1] PROBE model Raspberry Pi 3 Model B Rev 1.2 pages 4096 python Python 3.13.5\r
[   20.0] PROBE up 20.01 written 1200 pid 0 rss  restarts 0 state activating health \r
[   90.5] PROBE up 90.50 written 5000 pid 412 rss 99000 restarts 1 state active health {"frames": 7, "release": "01ab"}\r
[   91.0] some driver: {}
[   95.6] PROBE up 95.61 written 5008 pid 412 rss 99200 restarts 1 state active health {"frames": 9, "of": {"a": 1}}\r
[  100.7] PROBE up 100.72 written 5008 pid 412 rss 99200 restarts 1 state active health {"fra"""  # noqa: E501 - as a serial line has it


def test_the_probe_of_a_card_is_read_from_its_serial_line(tmp_path):
    machine = Machine("virt", tmp_path / "card.img", tmp_path / "serial", {})
    assert machine.probes() == []
    machine.serial.write_text(SERIAL)

    first, last = machine.probes()

    assert (first["up"], first["written"], first["pid"], first["rss"]) == (90.5, 5000, 412, 99000)
    assert (first["restarts"], first["frames"], first["release"]) == (1, 7, "01ab")
    assert (last["up"], last["frames"], last["of"]) == (95.61, 9, {"a": 1})


def test_a_step_that_is_none_is_refused_before_anything_is_made(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["board-test", "pi", "cats"])

    with pytest.raises(SystemExit, match="2"):
        command.main()

    assert "found cats" in capsys.readouterr().err


def test_what_the_steps_are_is_said_before_anything_is_installed():
    command = [sys.executable, "-S", "-m", "boardtest", "--list"]
    folder = Path(steps.__file__).parents[1]

    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)

    assert [line.split()[0] for line in done.stdout.splitlines()] == list(steps.STEPS)

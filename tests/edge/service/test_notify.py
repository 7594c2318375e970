"""systemd is told by its own protocol, over a real socket, and never waited for."""

import os
import socket
import time

import pytest
from notify_socket import Manager

from edge.service import is_managed
from edge.service.notify import STOPPING, WELL, Notifier, from_environment, status

pytestmark = pytest.mark.board


@pytest.mark.parametrize("abstract", [False, True], ids=["path", "abstract"])
def test_each_state_is_one_datagram(tmp_path, monkeypatch, abstract):
    with Manager(None if abstract else tmp_path) as manager:
        monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
        assert is_managed()
        notifier = from_environment()
        notifier.ready("all\nis well")
        notifier.tell(WELL)
        notifier.tell(status("30 frames/s"))
        before_us = time.monotonic_ns() // 1000
        notifier.reloading()
        notifier.tell(STOPPING, status("stopping"))
        assert manager.hears("STATUS=stopping")
    moment = manager.told.pop(5)
    assert manager.told == [
        "READY=1", "STATUS=all is well", "WATCHDOG=1", "STATUS=30 frames/s", "RELOADING=1",
        "STOPPING=1", "STATUS=stopping",
    ]  # fmt: skip
    assert before_us <= int(moment.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000


def test_without_a_manager_nothing_is_told_and_nothing_fails(monkeypatch, caplog):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    assert not is_managed()
    from_environment().ready("well")
    assert caplog.messages == []


def test_a_manager_that_is_gone_or_takes_nothing_is_said_once(tmp_path, caplog):
    notifier = Notifier(str(tmp_path / "nothing"))
    notifier.tell(WELL)
    notifier.tell(WELL)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as full:
        full.bind(str(tmp_path / "full"))
        notifier = Notifier(str(tmp_path / "full"))
        for _ in range(2000):
            notifier.tell(WELL)
    assert [message.partition(":")[0] for message in caplog.messages] == [
        "systemd cannot be told WATCHDOG=1"
    ] * 2


@pytest.mark.parametrize("address", ["x" * 200, "@" + "x" * 200, "@", "vsock:2:1", "/"])
def test_an_address_that_is_none_ends_nothing_and_is_told_with_its_reason(address, caplog):
    Notifier(address).tell(WELL)
    (message,) = caplog.messages
    assert "None" not in message


def test_a_status_that_never_ends_still_arrives():
    with Manager() as manager:
        Notifier(manager.address).ready("x" * 10**6)
        assert manager.hears("READY=1")


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [("30000000", None, 30.0), ("30000000", "1", 0.0), (None, None, 0.0), ("soon", None, 0.0)],
    ids=["ours", "another's", "none", "no number"],
)
def test_the_watchdog_is_that_of_this_process(monkeypatch, usec, pid, seconds):
    for name, value in (("WATCHDOG_USEC", usec), ("WATCHDOG_PID", pid or str(os.getpid()))):
        monkeypatch.delenv(name, raising=False)
        if value:
            monkeypatch.setenv(name, value)
    assert from_environment().watchdog_s == seconds

"""The stable client id."""

from __future__ import annotations

import re

import pytest

from edge.sinks.mqtt_identity import client_id

pytestmark = pytest.mark.board


@pytest.fixture
def machine_id(tmp_path):
    path = tmp_path / "machine-id"
    path.write_text("0123456789abcdef" * 2 + "\n")
    return path


def test_the_client_id_is_the_same_after_each_start_and_short_enough_for_any_broker(machine_id):
    first = client_id("porch", machine_id=machine_id)
    assert first == client_id("porch", machine_id=machine_id)
    assert re.fullmatch("edge-porch-[0-9a-f]{8}", first)
    assert len(client_id("x" * 64, machine_id=machine_id)) == 23


def test_another_name_or_another_machine_has_another_client_id(machine_id, tmp_path):
    (tmp_path / "other").write_text("f" * 32)
    ids = {
        client_id("a-porch-with-a-view", machine_id=machine_id),
        client_id("a-porch-with-a-roof", machine_id=machine_id),
        client_id("a-porch-with-a-view", machine_id=tmp_path / "other"),
    }
    assert len(ids) == 3


@pytest.mark.parametrize("content", [None, b"", b"uninitialized\n", b"\xff"])
def test_a_machine_without_an_id_goes_by_its_host_name_and_says_so(tmp_path, caplog, *, content):
    caplog.set_level("INFO")
    path = tmp_path / "machine-id"
    if content is not None:
        path.write_bytes(content)
    assert client_id("porch", machine_id=path) == client_id("porch", machine_id=path)
    assert f"{path} holds no id; the client id is of the host name" in caplog.text

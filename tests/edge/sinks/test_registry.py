"""The table of sinks: each section of the configuration has its row."""

import json
import threading
from typing import get_args

import pytest
from factories import message
from hook_server import HookServer
from waiting import eventually

from edge.config import reading as config
from edge.config.sink import AnySink, Command, Jsonl, Webhook
from edge.errors import ConfigError
from edge.sinks.fanout import Fanout
from edge.sinks.registry import SINKS, open_sinks, receiver

pytestmark = pytest.mark.board


def test_every_section_has_a_row_and_every_row_a_module_that_has_its_functions():
    assert set(get_args(AnySink)) <= set(SINKS)
    for row in SINKS.values():
        module = __import__(row.module, fromlist=["x"])
        assert callable(getattr(module, row.opener))
        assert not row.check or callable(getattr(module, row.check))


def test_sinks_of_one_kind_have_names_of_their_own():
    sinks = open_sinks([Command(command=("true",))] * 2, "porch")
    assert [sink.name for sink in sinks] == ["command", "command 2"]
    assert receiver(sinks[1].name) == "its program"
    assert [sink.close(5) for sink in sinks] == [0, 0]


def test_where_one_cannot_be_opened_none_stays_open(tmp_path):
    sections = [Command(command=("true",)), Webhook(url="http://h/", header_file=tmp_path / "x")]
    with pytest.raises(ConfigError, match="header"):
        open_sinks(sections, "porch")
    assert eventually(lambda: "edge-command" not in [each.name for each in threading.enumerate()])


def test_each_of_several_sinks_gets_its_own_share(tmp_path):
    seen, told = tmp_path / "seen.jsonl", tmp_path / "told"
    with HookServer() as server:
        sections = (
            Jsonl(path=seen),
            Webhook(url=server.url),
            Command(command=("tee", str(told)), policies=("stream",)),
        )
        sink = Fanout(open_sinks(sections, "porch"))
        sink.send(message(7))
        sink.send(message(topic="edge/porch/front/status", payload=b"frozen", policy="state"))
        assert sink.close(10) == 0
        assert sink.failure is None
    assert json.loads(seen.read_text())["sequence"] == 7
    assert [body["payload"] for *_, body in server.posted] == ["frozen"]
    assert json.loads(told.read_text())["payload"]["sequence"] == 7


def test_a_webhook_that_is_alone_holds_up_nobody():
    (sink,) = open_sinks([Webhook(url="http://127.0.0.1:9/", policies=("stream",))], "porch")
    fanout = Fanout([sink])
    for number in range(500):
        fanout.send(message(number))
    assert eventually(lambda: sink._outbox.tally().dropped >= 399)
    assert fanout.close(5) <= 101
    assert config.Config(extra_sinks=(Jsonl(),)).sinks == (Jsonl(),)

"""What else a connection does: messages that come back, the own status, other voices, refusals."""

from __future__ import annotations

import time

import pytest
from factories import message
from scripted_broker import Script, ScriptedBroker
from waiting import eventually

from edge.messages.envelope import Message
from edge.sinks.outbox import Tally

pytestmark = pytest.mark.board

STATUS = "edge/porch/status"
PRESENCE = "edge/porch/presence"


def test_a_subscription_holds_before_and_after_connecting_and_again(open_sink):
    heard = []
    with ScriptedBroker() as broker:
        sink = open_sink(broker.port)
        sink.subscribe("home/+", lambda topic, payload: heard.append((topic, payload)))
        assert eventually(lambda: "home/+" in broker.subscriptions)
        sink.subscribe("later/#", lambda topic, payload: heard.append((topic, payload)))
        assert eventually(lambda: "later/#" in broker.subscriptions)
        broker.hang_up()
        assert eventually(lambda: broker.subscriptions.count("later/#") == 2)
        assert broker.subscriptions.count("home/+") == 2
        broker.say("home/status", b"1")
        broker.say("later/a/b", b"\xff")
        broker.say("elsewhere", b"3")
        assert eventually(lambda: len(heard) >= 2)
    assert heard == [("home/status", b"1"), ("later/a/b", b"\xff")]


def test_a_handler_that_fails_is_logged_and_the_others_go_on(open_sink, caplog):
    heard = []
    with ScriptedBroker() as broker:
        sink = open_sink(broker.port)
        sink.subscribe("command", lambda _, payload: heard.append(int(payload)))
        assert eventually(lambda: "command" in broker.subscriptions)
        broker.say("command", b"not a number")
        broker.say("command", b"7")
        assert eventually(lambda: heard == [7])
        sink.send(message())
        assert sink.close(60) == 0
    assert sink.connects == 1
    assert "the handler of command failed" in caplog.text


def test_a_topic_that_may_not_be_read_is_named(open_sink, log_lines):
    with ScriptedBroker(Script(suback=0x80)) as broker:
        open_sink(broker.port, user="eye")
        assert eventually(lambda: any("does not let us read" in line for line in log_lines()))
    assert any(
        f"read {STATUS} (unspecified error); let eye read it" in line for line in log_lines()
    )


def test_a_state_is_sent_on_every_connect_in_its_newest_form(open_sink):
    with ScriptedBroker() as broker:
        sink = open_sink(broker.port)
        for payload in (b"old", b"new"):
            sink.send(Message("home/config", payload, retain=True, policy="state"))
        assert eventually(lambda: broker.payloads("home/config")[-1:] == [b"new"])
        before = len(broker.payloads("home/config"))
        broker.hang_up()
        assert eventually(lambda: len(broker.payloads("home/config")) > before)
        assert broker.payloads("home/config")[before:] == [b"new"]
        assert ("home/config", b"new", True) in broker.messages
        assert sink.tally() == Tally(0, 0, 0)


def test_online_is_said_again_when_somebody_else_says_offline(open_sink, quick):
    with ScriptedBroker() as broker:
        open_sink(broker.port)
        assert eventually(lambda: STATUS in broker.subscriptions)
        began = time.monotonic()
        broker.say(STATUS, b"online")
        for _ in range(50):
            broker.say(STATUS, b"offline")
        assert eventually(lambda: len(broker.payloads(STATUS)) >= 2)
        time.sleep(0.2)
        # However often it is contradicted, it answers once in `correct_s`.
        told = len(broker.payloads(STATUS))
        assert 2 <= told <= 2 + (time.monotonic() - began) / quick.correct_s
        assert set(broker.payloads(STATUS)) == {b"online"}


def test_each_new_voice_is_told_once_and_answered_once(open_sink, log_lines):
    with ScriptedBroker() as broker:
        open_sink(broker.port)
        assert eventually(lambda: broker.payloads(PRESENCE))
        own = broker.payloads(PRESENCE)[0]
        assert b"(127.0.0.1), process " in own
        broker.say(PRESENCE, own)
        for _ in range(5):
            broker.say(PRESENCE, b"shed (192.0.2.7), process 8, run 0a0b0c0d")
        assert eventually(lambda: len(broker.payloads(PRESENCE)) >= 2)
        time.sleep(0.2)
        assert broker.payloads(PRESENCE) == [own, own]
    told = [line for line in log_lines() if "somebody else speaks as device 'porch'" in line]
    assert len(told) == 1
    assert "'shed (192.0.2.7), process 8, run 0a0b0c0d'" in told[0]


def test_voices_without_end_are_neither_kept_nor_answered(open_sink):
    with ScriptedBroker() as broker:
        sink = open_sink(broker.port)
        assert eventually(lambda: broker.payloads(PRESENCE))
        for number in range(200):
            broker.say(PRESENCE, b"x %d" % number)
        sink.send(message())
        assert sink.close(60) == 0
        assert len(broker.payloads(PRESENCE)) <= 20


def test_an_id_of_its_own_is_given_up_again_where_the_broker_wants_the_first(open_sink, log_lines):
    with ScriptedBroker() as broker:
        sink = open_sink(broker.port)
        for losses in range(2):
            assert eventually(lambda before=losses: sink.connects > before)
            broker.hang_up()
        assert eventually(lambda: sink.connects == 3)
        broker.script.connack = 2
        broker.hang_up()
        assert eventually(lambda: any("identifier not valid" in line for line in log_lines()))
        broker.script.connack = 0
        assert eventually(lambda: sink.connects == 4)
    ids = [line.split(" as ")[1].split(";")[0] for line in log_lines() if "connected to" in line]
    assert (ids[0], ids[-1]) == ("'edge-test'", "'edge-test'")


def test_a_second_message_of_that_size_costs_one_connection_only(open_sink):
    with ScriptedBroker(Script(largest_bytes=1000)) as broker:
        sink = open_sink(broker.port)
        sink.send(message(payload=b"x" * 1100))
        assert eventually(lambda: (sink.tally().dropped, sink.connects) == (1, 3))
        sink.send(message(payload=b"x" * 1200))
        sink.send(message(1))
        assert eventually(lambda: sink.tally() == Tally(1, 2, 0))
        assert sink.connects == 4


def test_a_farewell_is_no_reset_though_the_broker_still_speaks(open_sink):
    with ScriptedBroker(Script(parting=bytes([0xD0, 0]) * 10_000)) as broker:
        sink = open_sink(broker.port)
        assert eventually(lambda: sink.connected)
        assert sink.close(60) == 0
        assert eventually(lambda: broker.clean_ends == 1)


def test_a_broker_that_does_not_answer_the_farewell_is_not_waited_for_once_more(
    open_sink, monkeypatch, log_lines
):
    monkeypatch.setattr("edge.sinks.mqtt_connection.HANG_UP_S", 60.0)
    monkeypatch.setattr("edge.sinks.mqtt.JOIN_MARGIN_S", 30.0)
    with ScriptedBroker() as broker:
        sink = open_sink(broker.port)
        assert eventually(lambda: broker.payloads(STATUS) == [b"online"])
        broker.script.acknowledges = False
        monkeypatch.setattr(broker, "_see_off", lambda call: call.recv(1))
        sink.close(0)
    assert not [line for line in log_lines() if "left alone" in line]


def test_the_first_id_is_taken_back_once_alone_again(open_sink, log_lines):
    with ScriptedBroker() as broker:
        sink = open_sink(broker.port)
        for losses in range(2):
            assert eventually(lambda before=losses: sink.connects > before)
            broker.hang_up()
        assert eventually(lambda: sink.connects == 3)
        assert broker.clean_ends == 0
        sink._presence._alone_s = 0.4
        assert eventually(lambda: sink.connects == 4)
        # It left on purpose, and so that no will is spoken.
        assert broker.clean_ends == 1
    first, second, third, fourth = broker.client_ids
    assert first == second == fourth == "edge-test" != third
    assert any("nobody else speaks as device 'porch'" in line for line in log_lines())


def test_the_first_id_is_not_taken_back_before_the_others_have_left(open_sink, log_lines):
    with ScriptedBroker() as broker:
        sink = open_sink(broker.port)
        for losses in range(2):
            assert eventually(lambda before=losses: sink.connects > before)
            broker.hang_up()
        assert eventually(lambda: sink.connects == 3 and PRESENCE in broker.subscriptions[-2:])
        broker.say(PRESENCE, b"shed (192.0.2.7), process 8, run 0a0b0c0d-1")
        assert eventually(lambda: any("somebody else speaks" in line for line in log_lines()))
        sink._presence._alone_s = 0.4
        time.sleep(1.5)
        assert sink.connects == 3
        broker.say(STATUS, b"offline")
        assert eventually(lambda: sink.connects == 4)
    assert broker.client_ids[-1] == "edge-test" != broker.client_ids[-2]

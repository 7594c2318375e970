"""MQTT 5 and 3.1.1: which one is spoken, what the broker's limits do, and where answers go."""

from __future__ import annotations

import paho.mqtt.client as paho
import pytest
from broker import Listener, Mosquitto
from factories import message
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from scripted_broker import Script, ScriptedBroker
from waiting import eventually

from edge.messages.envelope import Message
from edge.sinks.mqtt_protocol import packet_bytes
from edge.sinks.outbox import Tally

pytestmark = pytest.mark.board

# MQTT 5, section 2.2.2.2: Receive Maximum, Maximum Packet Size, Retain Available.
TWO_ON_THE_WIRE = b"\x21\x00\x02"
LARGEST_300 = b"\x27\x00\x00\x01\x2c"
RETAINS_NOTHING = b"\x25\x00"
RESPONSE = b"\x08\x00\x05reply" + b"\x09\x00\x02\xff7"


@pytest.mark.parametrize(("protocol", "version"), [("auto", 5), ("5", 5), ("3.1.1", 4)])
def test_the_version_is_the_one_that_was_asked_for(open_sink, protocol, version):
    with ScriptedBroker() as broker:
        sink = open_sink(broker.port, protocol=protocol)
        sink.send(message())
        assert sink.close(60) == 0
        assert (broker.version, sink.tally()) == (version, Tally(1, 0, 0))


@pytest.mark.parametrize("answer", ["refuses", "hangs up", "is silent"])
def test_a_broker_without_mqtt_5_is_called_again_at_once_and_told_once(
    open_sink, log_lines, answer
):
    with ScriptedBroker(Script(versions=(4,), answer=answer)) as broker:
        sink = open_sink(broker.port)
        sink.send(message())
        assert eventually(lambda: sink.tally() == Tally(1, 0, 0))
        broker.hang_up()
        assert eventually(lambda: sink.connects == 2)
        assert broker.calls == 3
        assert sink.close(60) == 0
    told = [line for line in log_lines() if "MQTT 3.1.1 is spoken" in line]
    assert len(told) == 1
    assert not any("not as an MQTT broker" in line for line in log_lines())


def test_a_broker_that_took_mqtt_5_and_hangs_up_is_not_thought_to_be_without(open_sink):
    with ScriptedBroker() as broker:
        sink = open_sink(broker.port)
        assert eventually(lambda: sink.connects == 1)
        broker.script.versions, broker.script.answer = (), "hangs up"
        broker.hang_up()
        assert eventually(lambda: broker.calls >= 3)
        broker.script.versions = (4, 5)
        assert eventually(lambda: sink.connects == 2)
        assert broker.version == 5


def test_the_version_that_was_asked_for_is_not_left(open_sink, log_lines):
    with ScriptedBroker(Script(versions=(4,))) as broker:
        open_sink(broker.port, protocol="5")
        assert eventually(log_lines)
    assert "another version of MQTT than 5; results" in log_lines()[0]
    assert "leave [mqtt] protocol out, and the version is found" in log_lines()[0]


def test_what_is_larger_than_the_broker_takes_is_dropped_without_being_sent(open_sink, log_lines):
    with ScriptedBroker(Script(properties=LARGEST_300)) as broker:
        sink = open_sink(broker.port)
        for size in (10, 400, 20):
            sink.send(message(payload=b"x" * size))
        sink.send(Message("edge/porch/front/snapshot/cat", b"x" * 400, policy="state"))
        assert eventually(lambda: sink.tally() == Tally(2, 1, 0))
        broker.hang_up()
        assert eventually(lambda: sink.connects == 2)
        assert sink.close(60) == 0
    assert sink.connects == 2
    assert max(len(payload) for _, payload, _ in broker.messages) < 300
    told = sorted(line for line in log_lines() if "takes packets of up to 300 bytes" in line)
    assert len(told) == 2
    assert "for a message of 400 bytes to edge/porch/front/detections, which is dropped" in told[0]


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_the_users_own_limit_holds_for_both_versions_to_the_byte(open_sink, protocol):
    with ScriptedBroker() as broker:
        sink = open_sink(broker.port, protocol=protocol, max_packet_kib=1)
        frame = packet_bytes(message(payload=b"x" * 500), is_5=protocol == "5") - 500
        for size in (1024 - frame, 1025 - frame):
            sink.send(message(payload=b"x" * size))
        assert eventually(lambda: sink.tally() == Tally(1, 1, 0))


@pytest.mark.parametrize("is_5", [False, True])
@pytest.mark.parametrize("size", [0, 90, 127, 128, 16_383, 2_097_152])
@pytest.mark.parametrize("correlation", [b"", b"77"])
def test_the_size_of_a_packet_is_that_of_paho(is_5, size, correlation):
    client = paho.Client(CallbackAPIVersion.VERSION2, protocol=5 if is_5 else 4)
    sent, client._sock = [], object()
    client._packet_queue = lambda _command, packet, *_: sent.append(len(packet))
    properties = None
    if is_5 and correlation:
        properties = Properties(PacketTypes.PUBLISH)
        properties.CorrelationData = correlation
    client._send_publish(1, "käse".encode(), b"x" * size, 1, properties=properties)
    client._sock = None
    told = Message("käse", b"x" * size, correlation=correlation)
    assert packet_bytes(told, is_5=is_5) == sent[0]


def test_no_more_is_on_the_wire_than_the_broker_takes(open_sink):
    with ScriptedBroker(Script(properties=TWO_ON_THE_WIRE, acknowledges=False)) as broker:
        sink = open_sink(broker.port)
        for number in range(10):
            sink.send(message(number))
        assert eventually(lambda: broker.messages)
        sink.close(0.3)
        # `online` is one of them; `offline` at the end may be another.
        assert len(broker.messages) <= 3


def test_a_broker_that_keeps_nothing_gets_nothing_to_keep_and_is_told(open_sink, log_lines):
    with ScriptedBroker(Script(properties=RETAINS_NOTHING)) as broker:
        sink = open_sink(broker.port)
        sink.send(Message("home/config", b"x", retain=True, policy="state"))
        assert eventually(lambda: ("home/config", b"x", False) in broker.messages)
    assert any("keeps no messages" in line for line in log_lines())


def test_a_message_that_may_not_be_written_is_counted_and_its_topic_named(open_sink, log_lines):
    with ScriptedBroker(Script(puback=0x87)) as broker:
        sink = open_sink(broker.port, user="eye")
        sink.send(message())
        assert eventually(lambda: sink.tally() == Tally(0, 1, 0))
    assert any(
        "does not let us write edge/porch/front/detections (not authorized); let eye write it"
        in line
        for line in log_lines()
    )


def test_a_handler_learns_where_an_answer_goes_and_gives_it_back(open_sink):
    heard = []
    with ScriptedBroker() as broker:
        sink = open_sink(broker.port)
        sink.subscribe("command", lambda _, payload: heard.append(payload))
        assert eventually(lambda: "command" in broker.subscriptions)
        broker.say("command", b"{}", properties=RESPONSE)
        broker.say("command", b"plain")
        assert eventually(lambda: len(heard) >= 2)
        assert (heard[0], heard[0].response_topic, heard[0].correlation) == (
            b"{}",
            "reply",
            b"\xff7",
        )
        assert (heard[1], heard[1].response_topic, heard[1].correlation) == (b"plain", "", b"")
        sink.send(Message(heard[0].response_topic, b"done", correlation=heard[0].correlation))
        assert eventually(lambda: broker.payloads("reply") == [b"done"])
        assert RESPONSE[-5:] in broker.properties


@pytest.mark.broker
def test_a_real_broker_with_a_limit_loses_only_what_is_over_it(mosquitto, tmp_path, open_sink):
    options = ("max_packet_size 1000",)
    with (
        Mosquitto(mosquitto, tmp_path, options=options) as broker,
        Listener(broker.port) as listener,
    ):
        sink = open_sink(broker.port)
        for number in range(90):
            sink.send(message(number) if number != 40 else message(payload=b"x" * 1172))
        assert eventually(lambda: sink.tally() == Tally(89, 1, 0))
        assert sink.connects == 1
        assert eventually(lambda: len(listener.payloads("edge/porch/front/detections")) == 89)

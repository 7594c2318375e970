"""A webhook against a real web server: what arrives, what is tried again, what is given up."""

from __future__ import annotations

import contextlib
import socket
import threading

import pytest
from broker import Certificate
from factories import message
from hook_server import HookServer
from ports import free_port
from waiting import Stopwatch, eventually

from edge.config.sink import Webhook
from edge.errors import ConfigError
from edge.sinks.webhook import WebhookSink, check_webhook

pytestmark = pytest.mark.board


def sink_of(url, **options):
    return WebhookSink(Webhook(url=url, **options), base_s=0.01)


def state(text=b"frozen", topic="edge/porch/front/status"):
    return message(topic=topic, payload=text, policy="state", retain=True)


def event(number):
    return message(topic="edge/porch/front/events", payload=b'{"n":%d}' % number, policy="event")


def test_a_message_arrives_as_json_with_its_topic_and_the_header_of_the_file(tmp_path):
    secret = tmp_path / "header"
    secret.write_text("Authorization: Bearer abc\n")
    secret.chmod(0o600)
    with HookServer() as server:
        sink = sink_of(server.url, header_file=secret)
        sink.send(event(3))
        sink.send(state())
        assert sink.close(60) == 0
    told = [(path, body["topic"], body["payload"]) for path, _, body in server.posted]
    assert sorted(told, key=lambda each: each[1]) == [
        ("/hook?id=7", "edge/porch/front/events", {"n": 3}),
        ("/hook?id=7", "edge/porch/front/status", "frozen"),
    ]
    _, headers, body = server.posted[0]
    assert headers["Authorization"] == "Bearer abc"
    assert headers["Content-Type"] == "application/json"
    assert body["policy"] in ("event", "state")


def test_only_what_was_chosen_is_posted():
    with HookServer() as server:
        sink = sink_of(server.url, topics=("edge/+/front/#",))
        sink.send(message())  # of the stream, which a webhook gets when it is named only
        sink.send(state(topic="edge/porch/back/status"))
        sink.send(state())
        assert sink.close(60) == 0
    assert [body["topic"] for *_, body in server.posted] == ["edge/porch/front/status"]


def test_a_server_that_is_busy_is_asked_again_and_order_is_kept(log_lines):
    with HookServer(503, 429, 500) as server:
        sink = sink_of(server.url)
        for number in range(3):
            sink.send(event(number))
        assert eventually(lambda: len(server.posted) == 6)
        assert sink.close(60) == 0
    assert [body["payload"]["n"] for *_, body in server.posted] == [0, 0, 0, 0, 1, 2]
    assert log_lines() == []


@pytest.mark.parametrize("statuses", [(403,), (500,) * 5], ids=["for-good", "five-times"])
def test_a_message_that_is_refused_is_dropped_and_counted_and_the_next_goes_on(statuses, log_lines):
    with HookServer(*statuses) as server:
        sink = sink_of(server.url)
        sink.send(event(0))
        assert eventually(lambda: len(server.posted) == len(statuses))
        sink.send(event(1))
        assert eventually(lambda: len(server.posted) == len(statuses) + 1)
        assert sink.close(60) == 0
    assert f"answers {statuses[0]}" in log_lines()[0]
    assert log_lines()[-1] == "webhook: 1 results were dropped in all"


def test_no_redirect_is_followed_and_it_is_said_where_it_leads(log_lines):
    with HookServer() as elsewhere:
        place = {"Location": elsewhere.url.replace("127.0.0.1", "localhost")}
        with HookServer(307, headers=place) as server:
            sink = sink_of(server.url)
            sink.send(event(0))
            assert eventually(lambda: server.posted)
            assert sink.close(60) == 0
        assert elsewhere.posted == []
    assert "sends us to 'localhost', and no redirect is followed" in log_lines()[0]


def test_a_server_that_is_away_gets_what_waits_when_it_is_back(log_lines):
    port = free_port()
    sink = sink_of(f"http://127.0.0.1:{port}/hook", queue_messages=3)
    for number in range(10):
        sink.send(event(number))
    assert eventually(lambda: any("nothing answers at 127.0.0.1" in line for line in log_lines()))
    with HookServer(port=port) as server:
        assert eventually(lambda: len(server.posted) >= 3)
        assert sink.close(60) == 0
    numbers = [body["payload"]["n"] for *_, body in server.posted]
    assert numbers[-3:] == [7, 8, 9]
    assert len(numbers) <= 4
    assert any(line.endswith("takes messages again") for line in log_lines())


def test_what_an_absent_server_never_got_is_counted_and_the_end_is_not_held_up():
    sink = sink_of(f"http://127.0.0.1:{free_port()}/")
    for number in range(3):
        sink.send(event(number))
    with Stopwatch() as watch:
        assert sink.close(30) == 3
    assert watch.elapsed_s < 10


def test_a_name_that_can_have_no_address_is_told_of_and_ends_nothing(log_lines):
    sink = sink_of(f"http://{'a' * 70}.local/")
    sink.send(event(0))
    assert eventually(log_lines)
    assert sink._thread.is_alive()
    assert sink.close(5) == 1


def test_a_server_that_takes_the_call_and_is_silent_holds_up_no_caller(log_lines):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sink = sink_of(f"http://127.0.0.1:{silent.getsockname()[1]}/", timeout_s=0.1)
        sink.send(event(0))
        assert eventually(log_lines)
        assert sink.close(5) == 1
    assert "timed out" in log_lines()[0]


def test_a_server_that_sends_a_byte_now_and_then_is_cut_off(log_lines):
    done = threading.Event()

    def drip(server):
        while not done.is_set():
            caller, _ = server.accept()
            with caller, contextlib.suppress(OSError):
                while not done.wait(0.02):
                    caller.sendall(b"\x1b")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,), daemon=True)
        thread.start()
        for limit_s in (0.1, 1.0, 10.0):
            before = len(log_lines())
            sink = sink_of(f"http://127.0.0.1:{server.getsockname()[1]}/", timeout_s=limit_s)
            sink.send(event(0))
            assert eventually(lambda before=before: len(log_lines()) > before)
            sink.close(1)
            said = log_lines()[before]
            if "timed out" not in said:  # a busy machine may send no byte in so short a time
                break
        done.set()
    assert "answers, but not as its URL says" in said
    assert "\x1b" not in said


def test_https_is_verified_against_the_certificates_that_are_trusted(tmp_path, log_lines):
    certificate = Certificate.make(tmp_path / "tls")
    with HookServer(certificate=certificate) as server:
        trusting = sink_of(server.url, ca_file=certificate.certificate)
        trusting.send(event(0))
        assert trusting.close(60) == 0
        doubting = sink_of(server.url)
        doubting.send(event(1))
        assert doubting.close(5) == 1
    assert [body["payload"]["n"] for *_, body in server.posted] == [0]
    assert any("is not trusted" in line for line in log_lines())


def test_nothing_of_the_url_but_its_host_is_ever_logged(log_lines):
    sink = sink_of(f"http://127.0.0.1:{free_port()}/s3cret?token=s3cret")
    sink.send(event(0))
    sink.close(5)
    assert "s3cret" not in "".join(log_lines())


@pytest.mark.parametrize("text", ["no header", "Name:", "A: b\x07", "Ä: b"])
def test_a_file_that_holds_no_header_is_refused_and_not_repeated(tmp_path, text):
    path = tmp_path / "header"
    path.write_text(text)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="expected a header") as caught:
        check_webhook(Webhook(url="http://h/", header_file=path))
    assert text not in str(caught.value).replace("'NAME: VALUE'", "")


def test_a_header_that_others_can_read_is_refused(tmp_path):
    path = tmp_path / "header"
    path.write_text("Authorization: x")
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="a header file must be readable by its owner only"):
        check_webhook(Webhook(url="http://h/", header_file=path))

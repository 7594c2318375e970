from __future__ import annotations

import contextlib
import socket
import threading

import pytest

from edge.capture.address import fault_of, is_there, read_address
from edge.capture.options import StreamOptions
from edge.capture.registry import check_source
from edge.errors import ConfigError, SourceError

pytestmark = pytest.mark.board


@pytest.mark.parametrize(
    ("uri", "place", "shown"),
    [
        ("rtsp://cam/live/1", "cam:554", "rtsp://cam:554/live/1"),
        ("rtsps://cam:7441/x", "cam:7441", "rtsps://cam:7441/x"),
        ("http://10.0.0.9", "10.0.0.9:80", "http://10.0.0.9:80/"),
        ("https://[fe80::1]/x", "[fe80::1]:443", "https://[fe80::1]:443/x"),
        ("http://cam/v?user=me&pwd=s3cret", "cam:80", "http://cam:80/v"),
        ("rtsp://me%40home@cam/1", "cam:554", "rtsp://cam:554/1"),
        ("rtsp://cam/user=me_password=s3_channel=1.sdp", "cam:554", "rtsp://cam:554/…"),
    ],
)
def test_an_address_is_read_and_shown_without_user_and_query(uri, place, shown):
    address = read_address(uri, StreamOptions())
    assert address.place == place
    assert str(address) == shown


def test_the_password_is_that_of_the_file_and_stands_in_nothing_that_is_shown(password_file):
    address = read_address("rtsp://me%40x@cam/1?a=b", StreamOptions(password_file=password_file))
    assert address.user == "me@x"
    assert address.secret_url == "rtsp://me%40x:p%40ss%3Aw%2Frd%3F%25@cam:554/1?a=b"
    assert "p@ss" not in f"{address} {address!r} {address.url}"
    assert "%40ss" not in f"{address} {address!r} {address.url}"


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("rtsp:cam/1", "expected rtsp://[USER@]HOST[:PORT]/PATH, found 'rtsp:cam/1'"),
        ("rtsp:", "expected rtsp://"),
        ("http://", "expected http://"),
        ("rtsp://me@/1", "found '…@/1'"),
        ("rtsp://cam:0/1", "expected rtsp://"),
        ("rtsp://cam:99999/1", "expected rtsp://"),
        ("rtsp://cam:port/1?pwd=s3cret", "found 'rtsp://cam:port/1';"),
        ("rtsp://cam/a b", "expected rtsp://"),
        ("rtsp://cam/a\nb", "expected rtsp://"),
        ("rtsp://[::1/x", "expected rtsp://"),
        ("rtsp://me:s3cret@cam/1", "…@cam/1: everyone on this machine can read a password"),
        ("rtsp://me:@cam/1", "set [camera] password_file"),
        ("rtsp://me:s3/cret@cam/1", "set [camera] password_file"),
        ("rtsp://me:33/s3cret@cam/1", "found '…@cam/1'; in the name of a user"),
        ("http://cam/1?user=s3@home", "%40 everywhere but before the host"),
        ("http://cam/1?user=me&pwd=x@s3", "found '…'"),
        ("rtsp://me:12#s3@cam/1", "found '…@cam/1'; in the name of a user"),
        ("rtsp://cam/1#s", "expected rtsp://"),
        ("rtsp://a..b/1", "expected rtsp://"),
    ],
)
def test_what_is_no_address_is_refused_without_its_secret(uri, said):
    with pytest.raises(SourceError) as caught:
        check_source(uri, StreamOptions())
    assert said in str(caught.value)
    assert "s3" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_password_needs_a_user_and_a_file_that_is_the_owners_alone(password_file):
    with pytest.raises(SourceError, match="password_file needs a user: write USER@ before"):
        check_source("rtsp://cam/1", StreamOptions(password_file=password_file))
    password_file.chmod(0o644)
    with pytest.raises(ConfigError, match="type: chmod 600"):
        check_source("rtsp://me@cam/1", StreamOptions(password_file=password_file))


@contextlib.contextmanager
def answering(answer: bytes):
    """Have somebody answer each who connects; gives the place."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    with connection:
                        connection.recv(1000)
                        connection.sendall(answer)

        threading.Thread(target=serve, daemon=True).start()
        try:
            yield f"127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)


def test_a_knock_reads_no_password_and_so_says_nothing_of_it(password_file, caplog):
    password_file.write_text("ends with a blank \n")
    with answering(b"RTSP/1.0 200 OK\r\n") as place:
        assert is_there(f"rtsp://me@{place}/1", StreamOptions(password_file=password_file))
    assert caplog.messages == []


def test_what_answers_with_signs_that_are_no_number_is_no_camera():
    with answering("RTSP/1.0 ²³¹ OK\r\n".encode("latin-1")) as place:
        address = read_address(f"rtsp://{place}/1", StreamOptions())
        assert "found something else; check the port" in str(fault_of(address))

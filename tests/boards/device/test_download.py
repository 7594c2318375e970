"""What a URL gives is fetched whole, or a sentence says why not."""

from __future__ import annotations

import errno
import http.client
import socket
import threading
from hashlib import sha256

import pytest
from board_bundles import fetch

from boards.device import download
from edge.errors import BoardError

pytestmark = pytest.mark.board


def test_a_download_is_whole_and_the_one_that_was_meant(place, root, served):
    url, path = served
    told: list[int] = []
    digest = sha256(path.read_bytes()).hexdigest()

    assert fetch(place, url, digest=digest, told=told.append) == b"x"
    assert told[-1] == 100
    with pytest.raises(BoardError, match="expected the sha256 0000"):
        fetch(place, url, digest="0" * 64)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("file:///etc/passwd", "expected a URL of http or https"),
        (
            "http://user:secret@127.0.0.1:9/b.tar",
            "…@127.0.0.1:9/b.tar: the bundle cannot be fetched: a user and a password",
        ),
    ],
)
def test_what_cannot_be_fetched_is_a_sentence_without_a_secret(place, root, url, sentence):
    with pytest.raises(BoardError, match=sentence) as caught:
        fetch(place, url)

    assert "secret" not in str(caught.value)


def test_a_server_that_speaks_something_else_is_one_line(place, root):
    def serve():
        call, _ = listener.accept()
        with call:
            call.recv(65_536)
            call.sendall(b"SSH-2.0-\x1b[31mOpenSSH\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, daemon=True).start()
        with pytest.raises(BoardError, match=r"cannot be fetched: 'SSH-2\.0-") as caught:
            fetch(place, f"http://127.0.0.1:{listener.getsockname()[1]}/b.tar")

    assert str(caught.value).isprintable()


def test_a_download_that_is_reset_says_which(place, root, served, monkeypatch):
    def read(*_):
        raise ConnectionResetError(errno.ECONNRESET, "Connection reset by peer")

    monkeypatch.setattr(http.client.HTTPResponse, "read", read)
    with pytest.raises(BoardError, match=r"/b\.tar: the bundle cannot be fetched: .*reset"):
        fetch(place, served[0])


def test_a_download_that_is_too_large_ends(place, root, served, monkeypatch):
    monkeypatch.setattr(download, "MOST_BYTES", 1_000_000)

    with pytest.raises(BoardError, match="expected a bundle of up to"):
        fetch(place, served[0])


def test_a_download_of_no_known_length_ends_before_the_disk_is_full(
    place, root, served, monkeypatch
):
    """The server tells no length, and the disk has room for one more piece of a MiB."""
    free = iter([1 << 40, *((34 << 20) - got for got in range(0, 3 << 20, 1 << 20))])
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": next(free)}))

    with pytest.raises(BoardError, match="of room, found"):
        fetch(place, f"{served[0]}?no-length")

    assert not list(place.opt.glob("download*"))

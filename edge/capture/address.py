"""The address of a network camera: read, checked, shown without its secrets, and knocked at."""

from __future__ import annotations

import contextlib
import socket
import ssl
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from edge.capture.options import StreamOptions
from edge.errors import LoginError, SourceError, shown
from edge.password import read_password

if TYPE_CHECKING:
    from pathlib import Path

# RFC 7826, section 19.1 (rtsp 554, rtsps 322); RFC 9110, section 4.2.
PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
ENCRYPTED = {"rtsps", "https"}
# How long a camera that is there takes to answer a knock; and a question, on a slow network.
KNOCK_S, ANSWER_S = 0.5, 2.0
LINE_BYTES = 200
HTTP_REFUSED = (401, 403)
HTTP_OK = 200
# RTSP has 404 for a path that is not there, and some servers 454.
NOT_THERE = (404, 454)


@dataclass(frozen=True, slots=True)
class Address:
    """Where a camera of the network is.

    Attributes:
        scheme: Of `PORTS`.
        host: Name or address.
        port: TCP.
        path: What follows, from its slash; it may hold a secret behind `?`.
        user: Empty for none.
        password: Empty for none.
    """

    scheme: str
    host: str
    port: int
    path: str
    user: str = ""
    password: str = field(default="", repr=False)

    @property
    def place(self) -> str:
        """Host and port as a URL has them."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The URL without user and password."""
        return f"{self.scheme}://{self.place}{self.path}"

    @property
    def secret_url(self) -> str:
        """The URL with user and password, which must not be shown."""
        if not self.user:
            return self.url
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        return f"{self.scheme}://{login}@{self.place}{self.path}"

    def __str__(self) -> str:
        """Return what may be shown: without user, and without what stands behind `?`."""
        return self.url.partition("?")[0]


def read_address(uri: str, options: StreamOptions) -> Address:
    """Return where a camera is; its password file is read, the network is not touched.

    Raises:
        SourceError: The URI is no such address, or holds a password.
        ConfigError: The password file cannot be used.
    """
    scheme, _, rest = uri.partition(":")
    found = shown(uri).partition("?")[0]
    example = f"{scheme}://[USER@]HOST[:PORT]/PATH"
    try:
        parts = urlsplit(uri)
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")  # as the look-up of its name does
    except ValueError:
        host = port = parts = None
    user, secret = (parts.username, parts.password) if parts else (None, None)
    if secret is not None or (parts is None and ":" in rest.rpartition("@")[0]):
        raise SourceError(
            f"{found}: everyone on this machine can read a password in the URL; "
            f"write {scheme}://USER@HOST/PATH, the password to a file, chmod 600 it, and set "
            "[camera] password_file"
        )
    # An @ behind the host may be the end of a password with a slash in it.
    is_sound = rest.startswith("//") and port != 0 and not _is_torn(uri) and "#" not in uri
    if not parts or not host or not is_sound or "@" in parts.path + parts.query:
        raise SourceError(
            f"expected {example}, found {found!r}; in the name of a user write / as %2F, # as "
            "%23, and @ as %40 everywhere but before the host"
        )
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    user, password = unquote(user or ""), _password(options.password_file, user)
    return Address(scheme, host, port or PORTS[scheme], path, user, password)


def _is_torn(uri: str) -> bool:
    """Whether a URI has characters that `urlsplit` leaves out without a word."""
    return any(character.isspace() or not character.isprintable() for character in uri)


def _password(path: Path | None, user: str | None) -> str:
    if path is None:
        return ""
    if not user:
        raise SourceError("password_file needs a user: write USER@ before the camera's host")
    return read_password(path)


def is_there(uri: str, options: StreamOptions) -> bool:  # noqa: ARG001 - it sends no password
    """Return whether something answers where the camera should be; what it answers is not asked.

    A camera that hangs still has a kernel that accepts connections.
    """
    try:
        return bool(_first_line(read_address(uri, StreamOptions()), "OPTIONS", timeout_s=KNOCK_S))
    except OSError:
        return False


def fault_of(address: Address) -> SourceError:
    """Ask a camera whose stream could not be opened for it once more, and return what is wrong.

    One request without the password is sent, and its first line read.
    """
    try:
        verb = "DESCRIBE" if address.scheme.startswith("rtsp") else "GET"
        line = _first_line(address, verb, timeout_s=ANSWER_S)
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        return unreachable(address, f"({reason})")
    version, _, status = line.partition(" ")
    number = int(status[:3]) if status[:3].isdecimal() else 0
    if not version.startswith(("RTSP/", "HTTP/")) or not number:
        return SourceError(
            f"{address}: expected a camera that speaks {address.scheme}, found something else; "
            "check the port"
        )
    return fault_of_status(address, number)


def unreachable(address: Address, how: str) -> SourceError:
    """Return what to say of an address at which no camera answers."""
    return SourceError(
        f"{address}: expected a camera at {address.place}, it does not answer {how}; "
        f"check its power, its network and the address: ping {address.host}"
    )


def fault_of_status(address: Address, number: int) -> SourceError:
    """Return what a camera's refusal means, and what to do about it."""
    if number in HTTP_REFUSED and address.password:
        return LoginError(
            f"{address}: the camera asks for a login and does not take that of {address.user!r} "
            f"({number}); check user and password_file"
        )
    if number in HTTP_REFUSED:
        return LoginError(
            f"{address}: the camera asks for a login ({number}); write "
            f"{address.scheme}://USER@HOST/PATH and set [camera] password_file"
        )
    if number in NOT_THERE:
        said = f"has no such stream ({number}); look up the path in its manual"
    elif number == HTTP_OK:
        said = "answers, but sends no video that can be read; set it to H.264, H.265 or MJPEG"
    else:
        said = f"refuses with status {number}; look it up in its manual or log"
    return SourceError(f"{address}: the camera {said}")


def silence(address: Address, stall_s: float) -> SourceError:
    """Return what to say of a camera that has given nothing for so long."""
    return SourceError(
        f"{address}: the camera gave no frame for {stall_s:g} s; check its power and network"
    )


def hung_up(address: Address) -> SourceError:
    """Return what to say of a camera that has closed the connection."""
    return SourceError(f"{address}: the camera ended the stream; see its own log")


def _first_line(address: Address, verb: str, *, timeout_s: float) -> str:
    """Return the first line of the answer to a request; raises `OSError` where there is none."""
    is_rtsp = address.scheme.startswith("rtsp")
    version, target = ("RTSP/1.0", address.url) if is_rtsp else ("HTTP/1.0", address.path)
    request = f"{verb} {target} {version}\r\nCSeq: 1\r\nHost: {address.place}\r\n\r\n"
    plain = socket.create_connection((address.host, address.port), timeout_s)
    with contextlib.ExitStack() as closing:
        connection = closing.enter_context(plain)
        if address.scheme in ENCRYPTED:
            connection = closing.enter_context(unverified_context().wrap_socket(plain))
        connection.sendall(request.encode())
        return connection.recv(LINE_BYTES).decode("latin-1").partition("\r\n")[0]


def unverified_context() -> ssl.SSLContext:
    """Return a context that encrypts and trusts everybody, as FFmpeg does for `rtsps:`.

    A camera makes its certificate itself, and is called by its address.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context

"""MJPEG over HTTP: a stream of JPEG images, each with a header of its own, and of its own size.

FFmpeg reads it too, but takes seconds to find out what a slow one is, and goes on in the size of
the first image when the camera changes it.
"""

from __future__ import annotations

import http.client
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

from edge.capture.address import fault_of_status, hung_up, silence, unreachable, unverified_context
from edge.capture.images import decode_image
from edge.capture.picture import Picture
from edge.capture.source import STALL_S
from edge.errors import SourceError

if TYPE_CHECKING:
    from http.client import HTTPResponse

    import numpy as np
    from numpy.typing import NDArray

    from edge.capture.address import Address

MAX_LINE_BYTES, MAX_HEADER_LINES = 4096, 64
MAX_IMAGE_BYTES = 32 * 2**20
NAME = Path("a frame")  # in errors that nobody reads


def connected(address: Address) -> MjpegReader | None:
    """Return the MJPEG stream of a camera; `None` if it sends something else.

    Raises:
        SourceError: It does not answer, refuses, or sends single images.
    """
    response = _asked(address)
    kind = response.headers.get_content_type()
    if kind.startswith("multipart/"):
        return MjpegReader(response, address)
    response.close()
    if kind.startswith(("image/", "text/")):
        raise SourceError(
            f"{address}: expected a stream, found a page or one image ({kind}); look up the path "
            "of the camera's MJPEG or RTSP stream in its manual"
        )
    return None


def _asked(address: Address) -> HTTPResponse:
    opener = urllib.request.build_opener(
        urllib.request.ProxyHandler({}),
        urllib.request.HTTPSHandler(context=unverified_context()),
        *_logins(address),
    )
    try:
        response: HTTPResponse = opener.open(address.url, timeout=STALL_S)
    except urllib.error.HTTPError as error:
        error.close()
        raise fault_of_status(address, error.code) from error
    except TimeoutError as error:
        raise silence(address, STALL_S) from error
    except (OSError, ValueError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        what = getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        raise unreachable(address, f"as one ({what})") from error
    return response


def _logins(address: Address) -> list[urllib.request.BaseHandler]:
    """Return what answers a camera that asks for a login, in both ways."""
    if not address.user:
        return []
    logins = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    logins.add_password(None, address.url, address.user, address.password)
    digest = urllib.request.HTTPDigestAuthHandler(logins)
    vars(digest)["retried"] = 5  # One try of its six: cameras lock who is wrong too often.
    return [digest, urllib.request.HTTPBasicAuthHandler(logins)]


class MjpegReader:
    """Reads the images of an open response, and passes over those that are damaged."""

    def __init__(self, response: HTTPResponse, address: Address) -> None:
        self._response = response
        self._address = address
        # The first part says how the others begin: what the response's head says is often wrong.
        self._boundary = b"--"
        self._is_inside = False  # behind a boundary, in a part's header

    def read(self, buffer: NDArray[np.uint8] | None) -> Picture:  # noqa: ARG002 - OpenCV makes its own
        """Wait for the next image that can be decoded; its pixels are the caller's.

        Raises:
            SourceError: None came for `STALL_S`, or the camera hung up.
        """
        until_s = time.monotonic() + STALL_S
        damaged = 0
        while time.monotonic() < until_s:
            data = self._part()
            began_ns = time.monotonic_ns()
            try:
                return Picture.taken(decode_image(data, NAME), began_ns)
            except SourceError:
                damaged += 1
        raise SourceError(
            f"{self._address}: expected JPEG images, found {damaged} parts in {STALL_S:g} s that "
            "are none; set the camera to MJPEG"
        )

    def close(self) -> None:
        """Hang up."""
        self._response.close()

    def _part(self) -> bytes:
        """Return the next part's bytes."""
        try:
            length = self._header()
            data = self._response.read(length) if length else self._until_boundary()
        except SourceError:
            raise
        except TimeoutError as error:
            raise silence(self._address, STALL_S) from error
        except (OSError, http.client.HTTPException) as error:
            raise hung_up(self._address) from error
        if len(data) < (length or 1):
            raise hung_up(self._address)
        return data

    def _header(self) -> int:
        """Read on to the end of a part's header; return the length that it states, or 0."""
        inside, length = self._is_inside, 0
        self._is_inside = False
        for _ in range(MAX_HEADER_LINES):
            line = self._response.readline(MAX_LINE_BYTES)
            if not line:
                raise hung_up(self._address)
            name, _, value = line.strip().partition(b":")
            if line.startswith(self._boundary):
                self._boundary, inside = line.strip(), True
            elif inside and name.lower() == b"content-length" and value.strip().isdigit():
                length = int(value)
            elif inside and not name:
                break
        else:
            raise SourceError(
                f"{self._address}: expected an MJPEG stream, found no header of an image in "
                f"{MAX_HEADER_LINES} lines; look up the path of its MJPEG stream in the manual"
            )
        if length > MAX_IMAGE_BYTES:
            raise self._too_long()
        return length

    def _until_boundary(self) -> bytes:
        """Read an image whose header states no length."""
        data = bytearray()
        while not (line := self._response.readline(MAX_LINE_BYTES)).startswith(self._boundary):
            data += line
            if len(data) > MAX_IMAGE_BYTES:
                raise self._too_long()
            if not line:
                raise hung_up(self._address)
        self._is_inside = True
        return bytes(data)

    def _too_long(self) -> SourceError:
        return SourceError(
            f"{self._address}: expected images of at most {MAX_IMAGE_BYTES // 2**20} MiB, found a "
            "longer one; set a smaller size in the camera"
        )

"""An RTSP camera: GStreamer's own server, run by the system's Python as a child.

Run as a program with a port, a pipeline and a login, it serves until it is ended.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from pathlib import Path

from ports import free_port

SYSTEM_PYTHON = "/usr/bin/python3"
NEEDED = """
import gi
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gst, GstRtspServer
Gst.init(None)
sys.exit(not all(map(Gst.ElementFactory.find, ("x264enc", "rtph264pay", "videotestsrc"))))
"""
PIPELINE = (
    "( videotestsrc is-live=true pattern=ball ! video/x-raw,width=320,height=240,framerate=25/1 ! "
    "x264enc tune=zerolatency key-int-max=10 speed-preset=ultrafast ! rtph264pay name=pay0 pt=96 )"
)


def missing() -> str:
    """Return why there can be no such server here; empty if there can."""
    if not Path(SYSTEM_PYTHON).exists():
        return f"needs {SYSTEM_PYTHON}"
    found = subprocess.run(
        [SYSTEM_PYTHON, "-c", f"import sys{NEEDED}"], capture_output=True, check=False
    )
    packages = "gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-{base,good,ugly}"
    return f"needs apt install {packages}" if found.returncode else ""


class RtspCamera:
    """Serves `PIPELINE` at `/live`, to `login` (`user:password`) alone where there is one."""

    def __init__(self, *, login: str = "", pipeline: str = PIPELINE) -> None:
        self.port = free_port()
        self._asked = [str(self.port), pipeline, login]
        self._child: subprocess.Popen | None = None
        self.start()

    def url(self, user: str = "") -> str:
        return f"rtsp://{user}{'@' if user else ''}127.0.0.1:{self.port}/live"

    def start(self) -> None:
        self._child = subprocess.Popen(
            [SYSTEM_PYTHON, __file__, *self._asked], stdout=subprocess.PIPE, text=True
        )
        assert self._child.stdout.readline() == "ready\n"

    def stop(self) -> None:
        self._child.kill()
        self._child.wait()
        self._child.stdout.close()

    def signal(self, number: int) -> None:
        self._child.send_signal(number)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()


def serve(port: str, pipeline: str, login: str) -> None:
    import gi  # noqa: PLC0415 - of the system's Python alone

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer  # noqa: PLC0415

    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(pipeline)
    factory.set_shared(True)
    if login:
        user, _, password = login.partition(":")
        auth = GstRtspServer.RTSPAuth()
        token = GstRtspServer.RTSPToken()
        token.set_string("media.factory.role", "user")
        auth.set_supported_methods(
            GstRtspServer.RTSP_AUTH_DIGEST if hasattr(GstRtspServer, "RTSP_AUTH_DIGEST") else 2
        )
        auth.add_digest(user, password, token)
        permissions = GstRtspServer.RTSPPermissions()
        permissions.add_permission_for_role("user", "media.factory.access", True)
        permissions.add_permission_for_role("user", "media.factory.construct", True)
        factory.set_permissions(permissions)
        server.set_auth(auth)
    server.get_mount_points().add_factory("/live", factory)
    server.attach(None)
    print("ready", flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        GLib.MainLoop().run()


if __name__ == "__main__":
    serve(*sys.argv[1:])

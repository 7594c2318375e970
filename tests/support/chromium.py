"""A real browser without a window, told what to do over a pipe (the Chrome DevTools Protocol)."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from typing_extensions import Self

NAMES = ("chromium", "chromium-browser", "google-chrome")
DEADLINE_S = 60.0
OPTIONS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-extensions", "--remote-debugging-pipe",
)  # fmt: skip


def chromium_program() -> str | None:
    """Return the path of a Chromium; None where there is none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page in a browser of its own.

    Args:
        program: Of the browser.
        size_wh: Of the window, CSS pixels.
        options: More of the command line.

    Attributes:
        faults: What the page's console said of errors, refused requests included.
    """

    def __init__(self, program: str, size_wh: tuple[int, int] = (1280, 900), *options: str) -> None:
        self.faults: list[str] = []
        self._folder = tempfile.mkdtemp(prefix="chromium")
        their_in, self._out = os.pipe()
        self._in, their_out = os.pipe()
        command = [
            program, *OPTIONS, f"--user-data-dir={self._folder}",
            f"--window-size={size_wh[0]},{size_wh[1]}", *options, "about:blank",
        ]  # fmt: skip
        # It reads from 3 and writes to 4. Debian's sh knows no file numbers of two digits.
        self._process = subprocess.Popen(
            ["bash", "-c", f'exec "$0" "$@" 3<&{their_in} 4>&{their_out}', *command],
            pass_fds=(their_in, their_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(their_in)
        os.close(their_out)
        self._left = b""
        self._numbers = itertools.count(1)
        self._session = ""
        targets = self.call("Target.getTargets")["targetInfos"]
        page = next(each for each in targets if each["type"] == "page")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=page, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._in)
        os.close(self._out)
        shutil.rmtree(self._folder, ignore_errors=True)

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Have one thing done, and return what came of it."""
        number = next(self._numbers)
        said = {"id": number, "method": method, "params": params}
        if self._session:
            said["sessionId"] = self._session
        os.write(self._out, json.dumps(said).encode() + b"\0")
        while True:
            heard = self._hear()
            if heard.get("id") == number:
                assert "error" not in heard, heard["error"]
                return heard["result"]

    def open(self, url: str) -> None:
        """Go to a page."""
        self.call("Page.navigate", url=url)

    def run(self, script: str) -> Any:
        """Return the value of an expression, awaited."""
        done = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait(self, condition: str) -> Any:
        """Return the value of an expression once it is true."""
        deadline_s = time.monotonic() + DEADLINE_S
        while True:
            with contextlib.suppress(AssertionError):  # the page is still being loaded
                if value := self.run(condition):
                    return value
            assert time.monotonic() < deadline_s, f"{condition} stayed false; {self.faults}"
            time.sleep(0.05)

    def click(self, x: float, y: float) -> None:
        """Press and release the mouse at a place of the window, CSS pixels."""
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def key(self, name: str, text: str = "") -> None:
        """Press and release a key."""
        self.call("Input.dispatchKeyEvent", type="keyDown", key=name, text=text)
        self.call("Input.dispatchKeyEvent", type="keyUp", key=name)

    def _hear(self) -> dict[str, Any]:
        while b"\0" not in self._left:
            part = os.read(self._in, 1 << 20)
            assert part, "the browser has ended"
            self._left += part
        line, _, self._left = self._left.partition(b"\0")
        heard = json.loads(line)
        method, params = heard.get("method"), heard.get("params", {})
        if method == "Runtime.exceptionThrown":
            self.faults.append(str(params["exceptionDetails"]))
        if method == "Log.entryAdded" and params["entry"]["level"] == "error":
            self.faults.append(params["entry"]["text"])
        return heard

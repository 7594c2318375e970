"""The cameras of a run: each open, on a thread of its own; they come and go while others run."""

from __future__ import annotations

import threading
from contextlib import ExitStack
from typing import TYPE_CHECKING

from edge.capture.latest import CaptureThread, Turns
from edge.capture.registry import SOURCES, open_lasting
from edge.errors import EdgeError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Self

    from edge.capture.reopening import CameraState
    from edge.config.camera import Camera
    from edge.model.loaded import LoadedModel
    from edge.preprocess import InputBuffer

    Tell = Callable[[str, CameraState], object]


class Cameras:
    """Opens cameras, and closes them when it is left.

    Args:
        cameras: Of the configuration, at least one.
        model: That their frames are prepared for.
        tell: Told the name of a camera and what has become of it, on any thread.
        begin_closed: One that is away at first is waited for, even if there is no other.
        picture_px: Longest side of the picture that each frame carries; `None` for none.

    Attributes:
        frames: Of all of them.
    """

    def __init__(
        self,
        cameras: Sequence[Camera],
        model: LoadedModel,
        *,
        tell: Tell,
        begin_closed: bool = False,
        picture_px: int | None = None,
    ) -> None:
        self._model = model
        self._tell = tell
        self._picture_px = picture_px
        self._is_looking = False
        self._changed = threading.Condition()
        self._open: dict[str, _Open] = {}
        self._paused: set[str] = set()
        self.frames: Turns[InputBuffer] = Turns([], self._changed)
        try:
            for camera in cameras:
                # A camera that is away must not keep the others from being seen.
                self._begin(camera, begin_closed=begin_closed or len(cameras) > 1)
        except BaseException:
            self.close()
            raise

    @property
    def captures(self) -> tuple[CaptureThread[InputBuffer], ...]:
        """One a camera, started."""
        # Copied in one step: other threads ask for them while `edge-control` changes them.
        return tuple(each.capture for each in tuple(self._open.values()))

    @property
    def opened(self) -> tuple[Camera, ...]:
        """What those that are open were opened by."""
        return tuple(each.camera for each in tuple(self._open.values()))

    @property
    def paused(self) -> tuple[str, ...]:
        """Names of those that give no frames for now."""
        return tuple(name for name, each in tuple(self._open.items()) if each.is_paused)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close all; a second call does nothing."""
        with ExitStack() as stack:
            while self._open:
                stack.callback(self._open.popitem()[1].close)

    def follow(self, wanted: Sequence[Camera]) -> list[str]:
        """Open and close until those of another configuration are open; the others go on.

        Where none of those could be opened, the ones before go on: a run without a camera ends.

        Returns:
            A sentence for each that could not be opened or closed.
        """
        names = [camera.name for camera in wanted]
        self.frames.expects_more = True
        try:
            gone = [self._open.pop(name) for name in tuple(self._open) if name not in names]
            faults = [fault for each in gone for fault in self._close(each)]
            for camera in wanted:
                before = self._open.get(camera.name)
                if before is None or before.camera != camera:
                    faults += self._replace(camera, before)
            for each in [] if self._open else gone:
                self._begin(each.camera)
            self._open = {
                name: self._open[name] for name in (*names, *self._open) if name in self._open
            }
            self.frames.captures = self.captures
        finally:
            self.frames.expects_more = False
        return faults

    def use(self, model: LoadedModel) -> None:
        """Prepare frames for another model from now on; of each camera one may be lost."""
        self._model = model
        for capture in self.captures:
            capture.use(model.input_buffers(capture.camera))

    def ask_picture(self, name: str, max_side_px: int) -> Callable[[], object]:
        """Have each frame of a camera bring a picture until the result is called."""
        opened = self._open.get(name)
        return opened.capture.want_picture(max_side_px) if opened else int  # closed meanwhile

    def look(self, *, on: bool) -> None:
        """Have pictures of all cameras looked at now and then, or no more."""
        self._is_looking = on
        for capture in self.captures:
            capture.is_looking = on

    def pause(self, names: Sequence[str], *, on: bool) -> None:
        """Have cameras give no frames, or give them again, those that are opened later too."""
        for name in names:
            (self._paused.add if on else self._paused.discard)(name)
            if name in self._open:
                self._open[name].pause(on=on)

    def _replace(self, camera: Camera, before: _Open | None) -> list[str]:
        """Open a camera that is new, or otherwise than before; return what went wrong.

        A device can be open only once, and so it is closed first; its frames are not waited for.
        Anything else is opened first, and where that fails, what was before goes on.
        """
        faults = []
        is_device = SOURCES[camera.source.partition(":")[0]].returns
        if before and is_device:
            faults += self._close(before, is_over=False)
        try:
            self._begin(camera, before)
        except EdgeError as error:
            faults.append(f"camera {camera.name}: {error}")
            if before and is_device:
                self._begin(before.camera, before)
        else:
            if before and not is_device:
                faults += self._close(before, is_over=False)
        return faults

    def _begin(
        self, camera: Camera, before: _Open | None = None, *, begin_closed: bool = True
    ) -> None:
        opened = _Open(
            camera, self._model, self._tell, changed=self._changed, begin_closed=begin_closed
        )
        if before:
            opened.capture.wanted_px = before.capture.wanted_px
        elif self._picture_px:  # before the first frame
            opened.capture.want_picture(self._picture_px)
        opened.capture.is_looking = self._is_looking
        if camera.name in self._paused:
            opened.pause(on=True)
        self._open[camera.name] = opened
        self.frames.captures = self.captures
        opened.capture.start()

    def _close(self, opened: _Open, *, is_over: bool = True) -> list[str]:
        self.frames.captures = tuple(
            each for each in self.frames.captures if each is not opened.capture
        )
        try:
            opened.close(is_over=is_over)
        except EdgeError as error:
            return [f"camera {opened.camera.name}: {error}"]
        return []


class _Open:
    """One camera, open.

    Attributes:
        camera: What it was opened by.
        capture: Reads it.
        is_paused: It gives no frames for now.
    """

    def __init__(
        self,
        camera: Camera,
        model: LoadedModel,
        tell: Tell,
        *,
        changed: threading.Condition,
        begin_closed: bool,
    ) -> None:
        self.camera = camera
        self.is_paused = False
        self._tell = tell
        self._telling = threading.Lock()
        self._change("online")
        try:
            self._source = open_lasting(
                camera.source, camera.options, begin_closed=begin_closed, on_change=self._change
            )
        except BaseException:
            self._change("offline")
            raise
        buffers = model.input_buffers(camera.name)
        self.capture = CaptureThread(self._source, buffers, camera=camera.name, changed=changed)

    def pause(self, *, on: bool) -> None:
        """Give no frames, or give them again."""
        self.is_paused = on
        self.capture.pause(on=on)
        self._change()

    def close(self, *, is_over: bool = True) -> None:
        """Read no more, and let go of the camera; `is_over` where no other takes its place."""
        try:
            with self._source:
                self.capture.stop()
        finally:
            if is_over:
                self._change("offline")

    def _change(self, state: CameraState | None = None) -> None:
        """Tell of a state, or anew of the one that holds; what is told last is what holds."""
        with self._telling:
            self._state: CameraState = state or self._state
            said = "paused" if self.is_paused and self._state != "offline" else self._state
            self._tell(self.camera.name, said)

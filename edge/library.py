"""What a program calls: a model for single images, and a camera as a loop of observations."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edge import app
from edge.config.reading import parse
from edge.cores import available_cores
from edge.errors import ConfigError, EdgeError
from edge.verbs.check import examine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from edge.model.loaded import LoadedModel
    from edge.parts import Parts
    from edge.pipeline import Pipeline
    from edge.results.observation import Observation
    from edge.stages.registry import Stage

JOIN_TIMEOUT_S = 10.0


def open_model(path: str | Path | None = None, **options: Any) -> LoadedModel:  # noqa: ANN401
    """Load a model, which is then called with one image after the other.

    Args:
        path: A `.tflite`; the built-in COCO detector without.
        options: Further keys of the configuration's `[model]`, such as `score_threshold=0.4`.

    Returns:
        A function from `(H, W, 3)` uint8, B G R, to a result, which holds until the next call.

    Raises:
        ConfigError: An option is not understood.
        ModelError: It cannot be read or run.
        DelegateError: The delegate cannot be loaded, or the model is not made for it.
    """
    config = parse({"model": {"file": path, **options}})
    if config.model.workers > 1:
        raise ConfigError(
            f"workers = {config.model.workers}: a model that is called runs one image at a time; "
            "leave workers out, or use edge.watch"
        )
    threads = app.interpreter_threads(config, available_cores())
    return app.open_model(config, app.model_file(config), threads=threads)


def watch(
    *sources: str,
    model: str | Path | None = None,
    stages: Sequence[Stage] = (),
    password_file: str | Path | None = None,
    picture_px: int | None = None,
    tracking: bool = False,
    **options: Any,  # noqa: ANN401 - keys of [model], checked there
) -> Iterator[Observation]:
    """Yield what a model sees on the frames of one or more sources, until they end.

    A camera's newest frame comes next, and those that came meanwhile are dropped and counted; each
    frame of a file comes. Leaving the loop closes the sources and ends the threads; so does
    `close()` of what is returned.

    Args:
        sources: Such as `v4l2:/dev/video0` or `file:clip.mp4`; `demo:` without any. Several are
            named `camera-1`, `camera-2` … in `Observation.camera`.
        model: A `.tflite`; the built-in COCO detector without.
        stages: Called with each observation before it is yielded, on a thread of their own.
        password_file: Holds the password of the user in a network camera's URI.
        picture_px: Longest side of `Observation.picture`; without it there is no picture.
        tracking: Give each object an id, as `[tracking]` does by its defaults, before the stages.
        options: Further keys of the configuration's `[model]`, such as `score_threshold=0.4`.

    Returns:
        Observations that are the caller's to keep.

    Raises:
        ConfigError: An option or a source is not understood.
        EdgeError: While it is read: a source, the model or a stage failed.
    """
    names = ["camera"] if len(sources) < 2 else [f"camera-{n + 1}" for n in range(len(sources))]  # noqa: PLR2004
    secret = {"password_file": password_file} if password_file else {}
    config = parse(
        {
            "camera": [
                {"name": name, "source": source} | (secret if "@" in source else {})
                for name, source in zip(names, sources or ["demo:"], strict=True)
            ],
            "model": {"file": model, **options},
            **({"tracking": {}} if tracking else {}),
        }
    )
    file, found = examine(config)
    if found:
        raise ConfigError("\n".join(found))
    opening = app.opened(config, file, publish=False, picture_px=picture_px)
    return _watch(_Watcher(opening, tuple(stages)))


def _watch(watcher: _Watcher) -> Iterator[Observation]:
    watcher.thread.start()
    try:
        while (seen := watcher.take()) is not None:
            yield seen
    finally:
        watcher.stop()


class _Watcher:
    """Runs a pipeline on a thread of its own and hands observations to another.

    All of it lives on that thread, so that the caller's keeps its cores. Of a live camera the
    newest observation takes the place of one that was not fetched yet, which counts as a dropped
    frame; one of a file is waited for.
    """

    def __init__(self, opening: AbstractContextManager[Parts], stages: tuple[Stage, ...]) -> None:
        self.thread = threading.Thread(target=self._run, name="edge-watch", daemon=True)
        self._opening = opening
        self._stages = stages
        self._pipeline: Pipeline | None = None
        self._live: dict[str, bool] = {}
        self._changed = threading.Condition()
        self._waiting: dict[str, Observation] = {}
        self._replaced: Counter[str] = Counter()
        self._stopping = self._ended = False
        self._failure: BaseException | None = None

    def take(self) -> Observation | None:
        """Wait for the next observation; `None` at the end; raises what failed."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._ended)
            if self._waiting:
                seen = self._waiting.pop(next(iter(self._waiting)))
                self._changed.notify_all()
                dropped = seen.dropped_frames + self._replaced[seen.camera]
                return replace(seen, dropped_frames=dropped)
        if self._failure is not None:
            raise self._failure
        return None

    def stop(self) -> None:
        """End the pipeline, and wait until all is closed."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        if self._pipeline is not None:
            self._pipeline.stop()
        self.thread.join(JOIN_TIMEOUT_S)
        if self.thread.is_alive():
            raise EdgeError(
                f"thread edge-watch did not end within {JOIN_TIMEOUT_S:g} s: a source does not "
                "return from its read; unplug the camera or end the process"
            )

    def _run(self) -> None:
        try:
            with self._opening as parts:
                self._live = {capture.camera: capture.live for capture in parts.captures}
                self._pipeline = parts.pipeline([self._hand_over], stages=self._stages)
                if not self._stopping:
                    self._pipeline.run()
        except Exception as error:  # noqa: BLE001 - raised on the caller's thread by `take`
            self._failure = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _hand_over(self, seen: Observation) -> None:
        kept = replace(seen, result=seen.result.copy(), heads={})
        with self._changed:
            if not self._live[seen.camera]:
                self._changed.wait_for(lambda: seen.camera not in self._waiting or self._stopping)
            self._replaced[seen.camera] += seen.camera in self._waiting
            self._waiting[seen.camera] = kept
            self._changed.notify_all()

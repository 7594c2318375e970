"""One run, from its start to its end: signals stop it, or have its configuration read again."""

from __future__ import annotations

import logging
import signal
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from edge import app
from edge.tasks import TASKS
from edge.terminal.signals import handling

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.config.sections import Config
    from edge.control import Control
    from edge.frame import Summary
    from edge.model.model_file import ModelFile
    from edge.parts import Parts
    from edge.pipeline import Pipeline
    from edge.results.observation import Observation
    from edge.service.life import Life
    from edge.web.preview import Preview

log = logging.getLogger("edge")

# On SIGTERM a sink that has no connection is given no more: systemd, or a person, waits for it.
ORDERED_DRAIN_S = 0.3


# What runs, until when, and who may change or is told of it.
def run(  # noqa: PLR0913
    config: Config,
    file: ModelFile | None = None,
    *,
    max_frames: int | None = None,
    reread: Callable[[], Config] | None = None,
    path: Path | None = None,
    life: Life | None = None,
) -> Summary:
    """Run until the cameras end, a signal comes, or so many frames are done.

    Args:
        config: What to run.
        file: Its model, where that was read already.
        max_frames: Of all cameras together.
        reread: Reads the configuration again, on SIGHUP and when its file has changed.
        path: Of that file.
        life: Tells a service manager how it goes.

    Raises:
        EdgeError: The model, a camera or a sink failed; or results stayed undelivered.
    """
    terms = app.Terms(begin_closed=life is not None)
    with app.opened(config, file, terms=terms) as parts:
        tally = _Tally(parts)
        previews: list[Preview] = []
        if config.web:
            from edge.web.preview import Preview  # noqa: PLC0415 - most runs have no page

            previews.append(Preview(config.web, parts))
        pipeline = parts.pipeline([tally, *previews])
        handlers = {
            signal.SIGINT: pipeline.stop,
            signal.SIGTERM: lambda: _stop_soon(pipeline, terms),
        }
        with ExitStack() as stack:
            if reread or previews or (config.mqtt and config.mqtt.commands):
                from edge.control import Control  # noqa: PLC0415 - nothing changes by itself

                control = stack.enter_context(Control(parts, reread, file=path))
                for preview in previews:
                    stack.enter_context(preview.served(control))
                if config.homeassistant and parts.sinks and (way := parts.sinks.fanout.channel):
                    from edge.homeassistant.following import Following  # noqa: PLC0415

                    stack.enter_context(Following(parts, control, way))
                if reread:
                    handlers[signal.SIGHUP] = lambda: _reload(control, life)
            stack.enter_context(handling(handlers))
            if life:
                stack.enter_context(life.watching(parts, pipeline))
            pipeline.run(max_frames=max_frames)
        summary = pipeline.times.summary()
        log.info(
            "%d frames in %.1f s (%.1f frames/s), %s",
            summary.frames,
            summary.elapsed_s,
            summary.rate_hz,
            tally.text(),
        )
    return replace(summary, seen=tally.text())


class _Tally:
    """Counts what a run sees, of each model by itself."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._texts: list[str] = []
        self._begin()

    def __call__(self, seen: Observation) -> None:
        if self._parts.model is not self._model:
            self._texts.append(self._counts.text())
            self._begin()
        self._counts.add(seen.result)

    def text(self) -> str:
        """Return the counts in a few words."""
        return "; ".join([*self._texts, self._counts.text()])

    def _begin(self) -> None:
        self._model = self._parts.model
        self._counts = TASKS[self._model.task].tally(self._model.description)


def _stop_soon(pipeline: Pipeline, terms: app.Terms) -> None:
    """End as a system that shuts down wants it: soon, and with nobody waited for.

    With the disk's spool the events that are left go out after the next start.
    """
    terms.drain_s, terms.must_deliver = ORDERED_DRAIN_S, False
    pipeline.stop()


def _reload(control: Control, life: Life | None) -> None:
    if life:
        life.reloading()
    control.request("reload", answer=lambda _: life.reloaded() if life else None)

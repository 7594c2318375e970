"""One run, from its start to its end: signals stop it, or have its configuration read again."""

from __future__ import annotations

import logging
import signal
from dataclasses import replace
from typing import TYPE_CHECKING

from edge import app
from edge.errors import ConfigError
from edge.tasks import TASKS, THRESHOLDS
from edge.terminal.signals import ENDING, handling

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.config.sections import Config
    from edge.metrics import Summary
    from edge.model.model_file import ModelFile
    from edge.pipeline import Pipeline

log = logging.getLogger("edge")


def run(
    config: Config,
    file: ModelFile | None = None,
    *,
    max_frames: int | None = None,
    reread: Callable[[], Config] | None = None,
) -> Summary:
    """Run until the cameras end, a signal comes, or so many frames are done.

    Args:
        config: What to run.
        file: Its model, where that was read already.
        max_frames: Of all cameras together.
        reread: Reads the configuration again; called on SIGHUP.

    Raises:
        EdgeError: The model, a camera or a sink failed; or results stayed undelivered.
    """
    with app.opened(config, file) as parts:
        tally = TASKS[parts.model.task].tally(parts.model.description)
        pipeline = parts.pipeline([lambda seen: tally.add(seen.result)])
        handlers = dict.fromkeys(ENDING, pipeline.stop)
        if reread:
            handlers[signal.SIGHUP] = lambda: _reload(parts, reread, pipeline=pipeline)
        with handling(handlers):
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


def _reload(parts: app.Parts, reread: Callable[[], Config], *, pipeline: Pipeline) -> None:
    """Take over what a changed configuration may change while frames run."""
    config = parts.config
    try:
        wanted = reread()
    except ConfigError as error:
        log.error("reload: nothing changed: %s", error)  # noqa: TRY400 - a user's fault, a sentence
        return
    update = {key: getattr(wanted.model, key) for key in THRESHOLDS}
    as_is = config.replace(model=config.model.replace(**update), tracking=wanted.tracking)
    pipeline.behaviour = parts.behaviour(wanted)
    log.info("reload: thresholds are %s", app.thresholds(wanted, parts.model.description))
    if as_is != wanted:
        log.warning("reload: the rest of the configuration has changed too; restart to follow it")

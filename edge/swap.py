"""Another model in the place of the one that runs: between two frames, on probation, or not at all.

It is read and verified, run in a child, loaded beside the other and proved before any frame is
taken from that. For a while the other stays loaded: where the new one fails, it goes on with it.
"""

from __future__ import annotations

import logging
import time
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from edge import app
from edge.config import overlay
from edge.config.paths import state_folder
from edge.errors import ConfigError, EdgeError, ModelError
from edge.model import model_file as models
from edge.model.loaded import LoadedModel
from edge.parts import decoder_thresholds
from edge.pipeline import Worker

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from edge.config.sections import Config
    from edge.model.spec import Tensors
    from edge.parts import Parts
    from edge.preprocess import InputBuffer

log = logging.getLogger("edge")

PROBATION_S = 10.0
# A model of 640 x 640 takes some ten times as long as one of 300 x 300, and may be wanted.
MOST_TIMES_SLOWER, LEAST_LIMIT_MS = 20.0, 200.0
JUDGED_INVOKES = 5
# What of a configuration is about the interpreters.
SECTIONS = ("model", "regions")
# What ran before a model that is on probation, and what held then.
Before = tuple[tuple[Worker, ...], "Config"]


class ModelSwap:
    """Puts other models in the place of the one that runs; on the thread `edge-control`.

    Args:
        parts: What runs.
        wake: Has a function called on the thread `edge-control`; called on any thread.
    """

    def __init__(self, parts: Parts, wake: Callable[[Callable[[], object]], object]) -> None:
        self._parts = parts
        self._wake = wake
        self._before: Before | None = None
        self._until_s = 0.0
        self._fault: Exception | None = None
        self._passed: Callable[[], object] = lambda: None
        self.in_progress = False

    @property
    def is_on_probation(self) -> bool:
        """Whether the model may still be taken back."""
        return self._before is not None

    def to(self, config: Config, *, passed: Callable[[], object] = lambda: None) -> str:
        """Run the model of a configuration from the next frame on; return a sentence.

        Args:
            config: All of it that is to hold, beside its cameras and sinks.
            passed: Called once the model has proved itself.

        Raises:
            EdgeError: It is not fit to run; nothing has changed.
        """
        parts = self._parts
        self.tick()
        if self._before:
            raise ConfigError(
                f"the model is on probation for {PROBATION_S:g} s after its change; ask again then"
            )
        file = app.model_file(config)
        digest = file.description.digest
        if reason := overlay.saved(config.device.name).refused.get(digest):
            raise ModelError(
                f"{file.path} was taken back before: {reason}; convert it again, or forget that "
                f'with the command reload and {{"forget": true}}'
            )
        decoder_thresholds(config, file.description)
        workers = app.open_workers(config, file, parts.cores, threads=parts.threads)
        self._adopt(workers, config, before=(parts.workers, parts.config))
        self._passed = passed
        return f"{file.description.name} runs, on probation for {PROBATION_S:g} s"

    def differs(self, config: Config) -> bool:
        """Whether the file of a configuration's model holds another one than the one that runs."""
        return app.model_file(config).description != self._parts.model.description

    def waiting(self) -> tuple[Path, str] | None:
        """Return path and digest of the newest model that waits; it was not taken back before.

        Where the one that runs waits there too, older ones wait for nothing.
        """
        folder, running = models_folder(), self._parts.model.description.digest
        with suppress(OSError):  # one was taken away just now
            paths = sorted(folder.glob("*.tflite"), key=_changed_ns) if folder else []
            refused = overlay.saved(self._parts.config.device.name).refused
            for path in reversed(paths):
                digest = _digest_of(path, _changed_ns(path))
                if digest == running:
                    break
                if digest and digest not in refused:
                    return path, digest
        return None

    def tick(self) -> None:
        """End a probation whose time is up; called now and then."""
        if self._fault:
            self._take_back()
        if self._before is None or time.monotonic() < self._until_s:
            return
        self._before = None
        if running := self._parts.running:
            running.workers = self._parts.workers
            running.excuse = lambda _: False
        log.info("model: %s has passed its probation", self._parts.model.description.name)
        try:
            self._passed()
        except ConfigError as error:
            log.error("model: it will not hold after a restart: %s", error)  # noqa: TRY400

    def _limit_ms(self) -> float:
        """Return how long an invoke may take, by what it takes before."""
        running = self._parts.running
        known = running.times.summary().percentiles_ms if running else {}
        before_ms = known.get("invoke", (0.0,))[0]
        return max(LEAST_LIMIT_MS, MOST_TIMES_SLOWER * before_ms)

    def _excuse(self, error: Exception) -> bool:
        """Leave out a frame that the model failed on, and have it taken back; on any thread."""
        if self._before and not self._fault:
            self._fault = error
            self._wake(self._take_back)
        return True

    def _take_back(self) -> None:
        before, fault, parts = self._before, self._fault, self._parts
        if before is None or fault is None:
            return
        bad = parts.model.description
        reason = str(fault) if isinstance(fault, EdgeError) else f"{type(fault).__name__}: {fault}"
        workers, held = before
        try:
            sections = {name: getattr(held, name) for name in SECTIONS}
            self._adopt(workers, parts.config.replace(**sections), before=None)
        except (ConfigError, ValueError):  # what came with the model fits no other one
            self._adopt(workers, held, before=None)
        log.error(
            "model: %s is taken back, %s runs again: %s",
            *(bad.name, parts.model.description.name, reason),
        )
        if bad.digest == parts.model.description.digest:
            return  # the same one, looked through otherwise
        device = parts.config.device.name
        kept = overlay.saved(device)
        try:
            overlay.save(device, kept.replace(refused=kept.refused | {bad.digest: reason}))
        except ConfigError as error:
            log.error("model: after a restart it may be tried again: %s", error)  # noqa: TRY400

    def _adopt(self, workers: tuple[Worker, ...], config: Config, *, before: Before | None) -> None:
        """Exchange the interpreters and all that goes by the model; or raise and change nothing.

        Args:
            workers: Of the model.
            config: What holds with it.
            before: Where it begins a probation, what may be taken back.
        """
        parts = self._parts
        old, model = parts.model, workers[0].model
        # What was followed until now is of other classes.
        is_same = old.description.labels == model.description.labels
        memory = parts.memory if is_same else _of_pictures(parts.memory)
        behaviour = parts.behaviour(config, model, memory)

        def between() -> None:
            self._before, self._fault = before, None
            self._until_s = time.monotonic() + PROBATION_S
            if parts.running:
                parts.running.excuse = self._excuse if before else lambda _: False
            if not _take_the_same(old, model):
                parts.cameras.use(model)
            parts.workers, parts.config, parts.memory = workers, config, memory
            if parts.publisher:
                parts.publisher.follow(config, model.description)
                parts.publisher.introduce(model.ran)

        if not parts.running:
            between()
            return
        limit_ms = self._limit_ms()
        invoking = [_watched(each, limit_ms) for each in workers] if before else workers
        parts.running.exchange(invoking, behaviour, between=between)


def models_folder() -> Path | None:
    """Return where models wait that the command `model` may install."""
    folder = state_folder()
    return folder / "models" if folder else None


def _changed_ns(path: Path) -> int:
    return path.stat().st_mtime_ns


@lru_cache(maxsize=16)
def _digest_of(path: Path, _changed_ns: int) -> str:
    try:
        return models.read(path).description.digest
    except EdgeError:
        return ""


def version(path: Path | None, digest: str) -> str:
    """Return what a model is called where versions are compared."""
    return f"{path.stem if path else 'built-in'} {digest.partition(':')[2][:8]}"


def _of_pictures(memory: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what is known whatever the model sees: how the cameras' pictures usually are."""
    return {name: kept for name, kept in memory.items() if name == "selfcheck"}


def _take_the_same(before: LoadedModel, after: LoadedModel) -> bool:
    """Whether two models take the same input tensor, filled in the same way."""
    ours, theirs = before.spec.input, after.spec.input
    # Another class may have input buffers of its own.
    return type(before) is type(after) is LoadedModel and (
        before.description.input == after.description.input
        and (ours.shape, ours.dtype, ours.quant) == (theirs.shape, theirs.dtype, theirs.quant)
    )  # fmt: skip


def _watched(worker: Worker, limit_ms: float) -> Worker:
    return Worker(cast("LoadedModel", _Watched(worker.model, limit_ms)), worker.cores)


class _Watched:
    """Stands for a model on probation, and raises where it cannot be what is wanted."""

    def __init__(self, model: LoadedModel, limit_ms: float) -> None:
        self._model = model
        self._limit_ms = limit_ms
        self._taken_ms: list[float] = []

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - of the model
        return getattr(self._model, name)

    def invoke(self, buffer: InputBuffer, *, out: Tensors) -> None:
        began_ns = time.monotonic_ns()
        self._model.invoke(buffer, out=out)
        invokes = buffer.placement.invokes
        if not invokes:
            return
        for role, head in out.items():
            if head.dtype.kind == "f" and not np.isfinite(head).any():
                raise ModelError(f"head {role!r} holds nothing but NaN or infinite values")
        if len(self._taken_ms) < JUDGED_INVOKES:
            self._taken_ms.append((time.monotonic_ns() - began_ns) / 1e6 / invokes)
            took_ms = sorted(self._taken_ms)[len(self._taken_ms) // 2]
            if len(self._taken_ms) == JUDGED_INVOKES and took_ms > self._limit_ms:
                raise ModelError(
                    f"an invoke takes {took_ms:.0f} ms, more than {self._limit_ms:.0f} ms, which "
                    f"is {MOST_TIMES_SLOWER:g} times as long as before; restart with it in "
                    "[model] file to have it so"
                )

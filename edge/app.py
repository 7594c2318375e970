"""The only place that wires: a configuration in, a running pipeline out."""

from __future__ import annotations

import logging
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.cameras import Cameras
from edge.config.paths import state_folder
from edge.cores import Cores, available_cores, confined, divided, switching_soon
from edge.errors import SinkError
from edge.model import delegates, engines, proof, trial
from edge.model import model_file as models
from edge.model.default import default_model_path
from edge.model.loaded import load_model
from edge.parts import Parts, decoder_thresholds
from edge.pipeline import Worker
from edge.preprocess import use_one_thread
from edge.publisher import Publisher, open_encoder, open_tellers
from edge.sinks.registry import OpenSinks, receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edge.config.sections import Config
    from edge.model.loaded import LoadedModel
    from edge.model.model_file import ModelFile

log = logging.getLogger("edge")

# How long a stopping program waits for the broker to take what is left.
DRAIN_S = 5.0


def read_model(
    path: Path | None, *, description: Path | None = None, delegate: str = delegates.CPU
) -> ModelFile:
    """Read a model, or the built-in one; one that this user never ran is first run in a child.

    Args:
        path: `None` for the built-in one.
        description: A TOML file that says who the model is; `None` asks the file itself.
        delegate: One with a runtime of its own need not have that of the CPU: its engine was built
            by `edge prepare`, which is the trial.
    """
    file = models.read(path or default_model_path(), description=description)
    if not delegates.parse(delegate).kind.backend:
        trial.admit(file, state_folder=state_folder())
    return file


def model_file(config: Config) -> ModelFile:
    """Read the configured model, or the built-in one, as `read_model` does."""
    model = config.model
    return read_model(model.file, description=model.description, delegate=model.delegate)


def open_model(config: Config, file: ModelFile, *, threads: int) -> LoadedModel:
    """Load and prove the model: so many interpreter threads, the configuration's thresholds."""
    wanted, name = decoder_thresholds(config, file.description), config.model.delegate
    engine = engines.find(file, name, state_folder())
    model = load_model(file, threads=threads, delegate=name, engine=engine, thresholds=wanted)
    proof.check(model, file.manifest.proof if file.manifest else {})
    return model


def open_workers(
    config: Config, file: ModelFile, cores: Cores, *, threads: int
) -> tuple[Worker, ...]:
    """Load the model once for each of `[model] workers`, on the cores of each.

    All read the same bytes of the file; packed weights and tensors are each one's own.
    """
    workers = []
    for own in cores.of_workers(config.model.workers):
        with confined(own):
            model = open_model(config, file, threads=threads)
            if config.regions:
                from edge.regions.looking import RegionModel  # noqa: PLC0415 - off by default

                model = RegionModel(model, config)
            workers.append(Worker(model, own))
    return tuple(workers)


def interpreter_threads(config: Config, available: frozenset[int]) -> int:
    """Return the configured number, or one a core, less one for all that is not an interpreter.

    Several workers share them. The available cores are those of the process, counted before any
    thread was confined to some.
    """
    return config.model.threads or max(1, (len(available) - 1) // config.model.workers)


@dataclass(slots=True)
class Terms:
    """What a run insists on; a signal may change its end.

    Attributes:
        begin_closed: A camera that is away at first is waited for, even if there is no other.
        drain_s: How long each sink has at the end for what is left.
        must_deliver: What is left after that is an error, not only said.
    """

    begin_closed: bool = False
    drain_s: float = DRAIN_S
    must_deliver: bool = True


@contextmanager
def opened(
    config: Config,
    file: ModelFile | None = None,
    *,
    publish: bool = True,
    picture_px: int | None = None,
    terms: Terms | None = None,
) -> Iterator[Parts]:
    """Open model, sinks and cameras for the length of the block; the broker is not waited for.

    Args:
        config: What to open.
        file: Its model, where that was read already.
        publish: Open the sinks as well.
        picture_px: Longest side of the picture that each frame carries; `None` for none.
        terms: What the run insists on.

    Raises:
        EdgeError: A part cannot be opened; or results were still undelivered after the block.
    """
    use_one_thread()
    terms = terms or Terms()
    with ExitStack() as stack:
        stack.enter_context(switching_soon())
        available = available_cores()
        threads = interpreter_threads(config, available)
        wanted = config.model.workers * threads
        if config.model.workers > 1 and wanted > len(available):
            log.warning(
                "[model] workers = %d of %d threads each are more than the %d cores of this "
                "process: they will wait for each other; set fewer",
                *(config.model.workers, threads, len(available)),
            )
        cores = stack.enter_context(divided(available, threads=wanted))
        file = file or model_file(config)
        workers = open_workers(config, file, cores, threads=threads)
        model = workers[0].model
        with confined(workers[0].cores):
            proof.tell(model, file, threads=threads)
        # Every thread that is started from here on inherits this.
        stack.enter_context(confined(cores.others))
        sinks = stack.enter_context(_delivering(config, terms)) if publish else None
        publisher, tell = None, lambda *_: None
        if sinks:
            encoder = open_encoder(config, model.description)
            publisher = Publisher(encoder, sinks.fanout, open_tellers(config, encoder))
            publisher.introduce(model.ran)
            tell = publisher.tell_camera
        cameras = stack.enter_context(
            Cameras(
                config.cameras,
                model,
                tell=tell,
                begin_closed=terms.begin_closed,
                picture_px=picture_px,
            )
        )
        parts = Parts(workers, cameras, publisher, sinks, cores, config, threads=threads)
        stack.callback(parts.close_snapshots)
        if publisher and config.tells_states:
            from edge.stats import Stats  # noqa: PLC0415 - nobody would hear of it otherwise

            period_s = lambda: parts.config.output.stats_s  # noqa: E731
            stack.enter_context(Stats(publisher, parts.summary, period_s=period_s))
        yield parts


@contextmanager
def _delivering(config: Config, terms: Terms) -> Iterator[OpenSinks]:
    """Open the sinks for the length of the block, and deliver what is left by the terms."""
    sinks = OpenSinks(config.sinks, config.device.name)
    sink = sinks.fanout
    try:
        yield sinks
    finally:
        sink.close(terms.drain_s)
    if sink.failure:
        raise sink.failure
    faults = [
        f"{name}: {number} results were not delivered within {terms.drain_s:g} s of the end; "
        f"check {receiver(name)} and run again"
        for name, number in sink.undelivered.items()
    ]
    if faults and terms.must_deliver:
        raise SinkError("\n".join(faults))
    for fault in faults:
        log.warning("%s", fault)

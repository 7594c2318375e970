"""One frame on its way from a camera to the consumers, and what becomes of it behind the invoke."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edge.frame import NS_PER_MS, StageClock
from edge.results.observation import Observation

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from edge.frame import Frame, Placement
    from edge.model.loaded import LoadedModel
    from edge.model.spec import Tensors
    from edge.preprocess import InputBuffer
    from edge.stages.registry import Stage


@dataclass(slots=True)
class Job:
    """One frame between the threads.

    Attributes:
        number: Its place among all frames that were taken.
        buffer: Holds it until it is invoked, and maybe the next one then.
        placement: Of this one.
        is_left_out: It could not be invoked, and that was excused.
    """

    number: int
    tensors: Tensors
    frame: Frame[InputBuffer]
    buffer: InputBuffer
    placement: Placement
    invoke_ns: int = 0
    is_left_out: bool = False


def in_order(invoked: Iterable[Job]) -> Iterator[Job]:
    """Yield what several workers finished by its number; what came too early waits."""
    early: dict[int, Job] = {}
    number = 0
    for job in invoked:
        early[job.number] = job
        while number in early:
            yield early.pop(number)
            number += 1


def observe(job: Job, model: LoadedModel, stages: Sequence[Stage]) -> Observation:
    """Decode one frame and lead it through the stages."""
    frame = job.frame
    clock = StageClock()
    clock.add("capture", frame.capture_ns)
    clock.add("preprocess", frame.preprocess_ns)
    clock.add("invoke", job.invoke_ns)
    observation = Observation(
        camera=frame.camera,
        sequence=frame.sequence,
        captured_utc_ns=frame.captured_utc_ns,
        source_ns=frame.source_ns,
        size_wh=frame.size_wh,
        result=model.decode(job.tensors, job.placement, clock),
        stage_ms={},
        age_ms=0.0,
        dropped_frames=frame.dropped,
        picture=frame.picture,
        look=frame.look,
        heads=job.tensors if job.placement.is_whole else {},
    )
    for stage in stages:
        observation = stage.process(observation)
        clock.lap(stage.name)
    age_ms = (time.monotonic_ns() - frame.captured_ns) / NS_PER_MS
    return replace(observation, stage_ms=clock.stage_ms(), age_ms=age_ms)

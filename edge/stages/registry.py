"""The table of stages, and the way from the sections of a configuration to open ones."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from edge.config.sections import Config
    from edge.model.description import Description, Thresholds
    from edge.results.observation import Observation

    Ask = Callable[[str, int], Callable[[], object]]


class Stage(Protocol):
    """Something that happens to each observation between decode and the consumers.

    Attributes:
        name: Its key in `stage_ms`.
    """

    name: str

    def process(self, observation: Observation) -> Observation:
        """Return the observation to go on with; frames of all cameras come in turn."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a stage is opened for.

    Attributes:
        config: Of this moment.
        description: Of the model.
        thresholds: The model's, as the configuration has them.
        ask: Has each frame of the camera named bring a picture of up to so many pixels, until what
            it returns is called.
        memory: What a stage of this kind keeps, such as its tracks: the same through every reload,
            and empty before the first.
    """

    config: Config
    description: Description
    thresholds: Thresholds
    memory: dict[str, Any]
    ask: Ask


@dataclass(frozen=True, slots=True)
class Row:
    """One kind of stage.

    Attributes:
        wanted: Whether a configuration asks for it.
        module: Imported when it is.
        opened: Makes the stage, given the module.
    """

    wanted: Callable[[Config], bool]
    module: str
    opened: Callable[[Any, Setting], Stage]


# In the order in which an observation passes them. The harvest sees what filters and masks hide:
# whom it must not keep may be among them.
STAGES = {
    "selfcheck": Row(
        lambda config: bool(config.selfcheck),
        "edge.stages.selfcheck",
        lambda module, given: module.SelfCheck(
            given.config.selfcheck, given.description, given.memory
        ),
    ),
    "harvest": Row(
        lambda config: bool(config.harvest),
        "edge.stages.harvest",
        lambda module, given: module.HarvestStage(given.config.harvest, given),
    ),
    "filter": Row(
        lambda config: bool(config.masks or config.filters),
        "edge.stages.filtering",
        lambda module, given: module.Filtering(given.config, given.description.labels),
    ),
    "track": Row(
        lambda config: bool(config.follows),
        "edge.stages.tracking",
        lambda module, given: module.Tracker.of(given),
    ),
    "zones": Row(
        lambda config: config.tells_events,
        "edge.stages.zones",
        lambda module, given: module.Zones(given.config, given.description.labels, given.memory),
    ),
}


def open_stages(
    config: Config,
    description: Description,
    *,
    thresholds: Thresholds,
    memory: dict[str, dict[str, Any]],
    ask: Ask,
) -> tuple[Stage, ...]:
    """Return the stages that a configuration asks for, in their order.

    Args:
        config: Asks for them.
        description: Of the model.
        thresholds: The model's, as the configuration has them.
        memory: What the stages of this run keep through every reload, by the name of the stage.
        ask: For pictures: `Setting.ask`.
    """
    stages = []
    for name, row in STAGES.items():
        if row.wanted(config):
            given = Setting(config, description, thresholds, memory.setdefault(name, {}), ask)
            stages.append(row.opened(importlib.import_module(row.module), given))
    return tuple(stages)

"""A model that looks at regions: its buffer plans a picture, and its decoder merges the looks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from edge.capture.picture import PLANAR, SIDEWAYS, Picture
from edge.config.regions import Regions
from edge.frame import Placement
from edge.model.loaded import LoadedModel
from edge.preprocess import InputBuffer
from edge.regions.merge import Memory
from edge.regions.motion import MotionGrid
from edge.regions.plan import Planner, Region, most_looks

if TYPE_CHECKING:
    from edge.config.sections import Config
    from edge.frame import StageClock
    from edge.model.description import Thresholds
    from edge.model.spec import ModelSpec, Tensors
    from edge.regions.plan import Plan
    from edge.results.detections import Detections

NS_PER_S = 1e9
# Between the picture that is planned and the last one whose result is told for certain: one waits,
# one is invoked by each worker, one is decoded, and one was decoded before that.
IN_FLIGHT = 3


class Scene:
    """One camera's motion and plans, of its capture thread, and its memory, of the decoding one."""

    def __init__(self, config: Config, camera: str, *, input_wh: tuple[int, int]) -> None:
        settings, lag = _settings(config), IN_FLIGHT + config.model.workers
        masks = [
            each.polygon
            for each in config.masks
            if each.camera in (None, camera) and each.labels is None
        ]
        self.grid = MotionGrid(masks)
        self.planner = Planner(settings, input_wh=input_wh, lag=lag)
        self.memory = Memory(input_wh, settings.sweep_s)


@dataclass(frozen=True, slots=True)
class Looks(Placement):
    """Where the looks of one frame lie in their inputs; itself the placement of the whole frame.

    Attributes:
        plan: Which looks.
        parts: The placement of each.
        scene: Of the camera.
    """

    plan: Plan
    parts: tuple[Placement, ...]
    scene: Scene

    @property
    def is_whole(self) -> bool:
        """Whether the first look was at the whole frame: `Placement.is_whole`."""
        return self.plan.looks[:1] == (Region(0, 0, *self.plan.size_wh),)


class RegionBuffer(InputBuffer):
    """Owns an input tensor for each look of a frame; `fill` plans it first.

    Args:
        spec: The model's contract.
        scene: Of the camera.
    """

    def __init__(self, spec: ModelSpec, scene: Scene) -> None:
        super().__init__(spec)
        self.inputs = [InputBuffer(spec) for _ in range(scene.planner.most_looks)]
        self._scene = scene
        self._cropped: dict[tuple[int, ...], NDArray[np.uint8]] = {}
        self._untaken: Plan | None = None

    def fill(self, image: Picture | NDArray[np.uint8]) -> bool:
        """Preprocess what is to be looked at of a picture.

        Returns:
            Whether nothing of it is, and nobody needs to be told.
        """
        picture = image if isinstance(image, Picture) else Picture(image, 0, 0, 0)
        planner, size_wh = self._scene.planner, picture.size_wh
        if self._untaken:
            planner.take_back(self._untaken)
        now_s = picture.source_ns / NS_PER_S
        motion = self._scene.grid.motion(picture, now_s)
        plan = self._untaken = planner.plan(motion, size_wh, now_s)
        if plan is None:
            return True
        for region, buffer in zip(plan.looks, self.inputs, strict=False):
            buffer.fill(cropped(picture, region, self._cropped))
        parts = tuple(buffer.placement for buffer in self.inputs[: len(plan.looks)])
        input_wh = self.placement.input_wh
        self.placement = Looks(size_wh, input_wh, input_wh, (0, 0), plan, parts, self._scene)
        return False

    def taken(self) -> Looks:
        """Return what to look at; from now on it was not planned in vain."""
        self._untaken = None
        return cast("Looks", self.placement)

    def take(self, other: InputBuffer) -> None:
        """Take over what another one was filled with: `InputBuffer.take`."""
        other = cast("RegionBuffer", other)
        self.placement = looks = other.taken()
        for own, its, _ in zip(self.inputs, other.inputs, looks.parts, strict=False):
            own.take(its)


class LookTensors(dict[str, NDArray[Any]]):
    """The raw outputs of a frame's first look, by role; those of the `others` beside."""

    others: list[Tensors]


def _of_look(tensors: Tensors, number: int) -> Tensors:
    return cast("LookTensors", tensors).others[number - 1] if number else tensors


class RegionModel(LoadedModel):
    """A detector that looks at each frame as often as its plan says, and gives one result.

    Args:
        model: The detector; what it has is shared.
        config: Its regions, workers and masks are those of the start.
    """

    def __init__(self, model: LoadedModel, config: Config) -> None:
        super().__init__(model.spec, model._backend, model.thresholds)  # noqa: SLF001 - a LoadedModel
        self._config = config
        self._most = most_looks(_settings(config).invokes_per_frame)

    def decoding_with(self, thresholds: Thresholds) -> RegionModel:
        """Return the model with a new decoder: `LoadedModel.decoding_with`."""
        return RegionModel(super().decoding_with(thresholds), self._config)

    def input_buffers(self, camera: str = "") -> tuple[InputBuffer, InputBuffer, InputBuffer]:
        """Return the buffers of one camera: `LoadedModel.input_buffers`."""
        scene = self._scene(camera)
        return (
            RegionBuffer(self.spec, scene),
            RegionBuffer(self.spec, scene),
            RegionBuffer(self.spec, scene),
        )

    def input_buffer(self, camera: str = "") -> InputBuffer:
        """Return one buffer of a camera of its own: `LoadedModel.input_buffer`."""
        return RegionBuffer(self.spec, self._scene(camera))

    def output_buffers(self) -> Tensors:
        """Return buffers for as many looks as a frame may have, the first's by their roles."""
        tensors = LookTensors(super().output_buffers())
        tensors.others = [super(RegionModel, self).output_buffers() for _ in range(1, self._most)]
        return tensors

    def invoke(self, buffer: InputBuffer, *, out: Tensors) -> None:
        """Run the model on each look: `LoadedModel.invoke`."""
        buffer = cast("RegionBuffer", buffer)
        for number in range(len(buffer.taken().parts)):
            super().invoke(buffer.inputs[number], out=_of_look(out, number))

    def decode(self, tensors: Tensors, placement: Placement, clock: StageClock) -> Detections:
        """Return what all looks show together: `LoadedModel.decode`."""
        looks, decode = cast("Looks", placement), super().decode
        for stage in ("decode", "suppress"):  # of a frame that repeats, too
            clock.add(stage, 0)
        found = (
            cast("Detections", decode(_of_look(tensors, number), part, clock))
            for number, part in enumerate(looks.parts)
        )
        memory = looks.scene.memory
        memory.begin(looks.plan.size_wh, self.description.digest)
        merged = memory.merged(looks.plan, found, thresholds=self.thresholds)
        looks.scene.planner.tell(looks.plan.number, memory.boxes, memory.is_small)
        clock.lap("merge")
        return merged

    def _scene(self, camera: str) -> Scene:
        return Scene(self._config, camera, input_wh=self.description.input.size_wh)


def _settings(config: Config) -> Regions:
    """Return the section, which is there where this is asked for."""
    return config.regions or Regions()


def cropped(
    picture: Picture, region: Region, scratch: dict[tuple[int, ...], NDArray[np.uint8]]
) -> Picture:
    """Return a part of a picture, as a view where its format allows one.

    Args:
        picture: The whole.
        region: Of the image, as it is turned.
        scratch: Keeps the array for a format that does not, for the next call.
    """
    if region.box == (0, 0, *picture.size_wh):
        return picture
    x, y, width, height = _unturned(picture, region)
    rows, columns = slice(y, y + height), slice(x, x + width)
    pixels = picture.pixels
    if picture.format not in PLANAR:
        return replace(picture, pixels=pixels[rows, columns], larger=None)
    shape = height * 3 // 2, width
    if shape not in scratch:
        scratch.clear()
        scratch[shape] = np.empty(shape, np.uint8)
    part = scratch[shape]
    whole_height = pixels.shape[0] * 2 // 3
    part[:height] = pixels[rows, columns]
    if picture.format == "nv12":
        part[height:] = pixels[whole_height + y // 2 : whole_height + (y + height) // 2, columns]
    else:
        planes = pixels[whole_height:].reshape(2, whole_height // 2, -1)
        chroma = planes[:, y // 2 : (y + height) // 2, x // 2 : (x + width) // 2]
        part[height:].reshape(chroma.shape)[:] = chroma
    return replace(picture, pixels=part, larger=None)


def _unturned(picture: Picture, region: Region) -> tuple[int, int, int, int]:
    """Return x, y, width and height of a region before the picture is turned."""
    image_width, image_height = picture.size_wh
    right = image_width - region.x - region.width
    below = image_height - region.y - region.height
    x, y = {
        0: (region.x, region.y),
        90: (region.y, right),
        180: (right, below),
        270: (below, region.x),
    }[picture.rotate]
    if picture.rotate in SIDEWAYS:
        return x, y, region.height, region.width
    return x, y, region.width, region.height

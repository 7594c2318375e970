"""A model that looks at regions: its buffer plans a picture, and its decoder merges the looks."""

from __future__ import annotations

from dataclasses import astuple, dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from edge.capture.picture import PLANAR, SIDEWAYS, Picture
from edge.config.sections import Regions
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
        settings = config.regions or Regions()
        masks = [
            each.polygon
            for each in config.masks
            if each.camera in (None, camera) and each.labels is None
        ]
        self.grid = MotionGrid(masks)
        self.planner = Planner(settings, input_wh=input_wh, lag=IN_FLIGHT + config.model.workers)
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

    @property
    def invokes(self) -> int:
        """How many looks there are: `Placement.invokes`."""
        return len(self.parts)


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
        self._scratch = np.empty(0, np.uint8)
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
        moving = self._scene.grid.motion(picture, now_s)
        plan = self._untaken = planner.plan(moving, size_wh, now_s)
        if plan is None:
            return True
        if picture.format in PLANAR and self._scratch.size < picture.pixels.size:
            self._scratch = np.empty(picture.pixels.size, np.uint8)
        for region, buffer in zip(plan.looks, self.inputs, strict=False):
            buffer.fill(cropped(picture, region, self._scratch))
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
    """The raw outputs of a frame's first look, by role; `looks` has those of each."""

    looks: tuple[Tensors, ...]


class RegionModel(LoadedModel):
    """A detector that looks at each frame as often as its plan says, and gives one result.

    Args:
        model: The detector; what it has is shared.
        config: Its regions, workers, masks and score threshold are those of the start.
    """

    def __init__(self, model: LoadedModel, config: Config) -> None:
        super().__init__(model.spec, model._backend, model.thresholds)  # noqa: SLF001 - a LoadedModel
        self._config = config
        # For the sake of tracks the decoder's may be far lower: no reason to look closer.
        self._least_score = self.description.thresholds(score=config.model.score_threshold).score

    def decoding_with(self, thresholds: Thresholds) -> RegionModel:
        """Return the model with a new decoder: `LoadedModel.decoding_with`."""
        return RegionModel(super().decoding_with(thresholds), self._config)

    def input_buffers(self, camera: str = "") -> tuple[InputBuffer, InputBuffer, InputBuffer]:
        """Return the buffers of one camera: `LoadedModel.input_buffers`."""
        scene = Scene(self._config, camera, input_wh=self.description.input.size_wh)
        first, second, third = (RegionBuffer(self.spec, scene) for _ in range(3))
        return first, second, third

    def input_buffer(self, camera: str = "") -> InputBuffer:
        """Return one buffer of a camera of its own: `LoadedModel.input_buffer`."""
        return self.input_buffers(camera)[0]

    def output_buffers(self) -> Tensors:
        """Return buffers for as many looks as a frame may have, the first's by their roles."""
        tensors = LookTensors(super().output_buffers())
        more = most_looks((self._config.regions or Regions()).invokes_per_frame) - 1
        make = super().output_buffers
        tensors.looks = (tensors, *(make() for _ in range(more)))
        return tensors

    def invoke(self, buffer: InputBuffer, *, out: Tensors) -> None:
        """Run the model on each look: `LoadedModel.invoke`."""
        buffer, looks = cast("RegionBuffer", buffer), cast("LookTensors", out).looks
        for own, tensors, _ in zip(buffer.inputs, looks, buffer.taken().parts, strict=False):
            super().invoke(own, out=tensors)

    def decode(self, tensors: Tensors, placement: Placement, clock: StageClock) -> Detections:
        """Return what all looks show together: `LoadedModel.decode`."""
        looks, decode = cast("Looks", placement), super().decode
        for stage in ("decode", "suppress"):  # of a frame that repeats, too
            clock.add(stage, 0)
        pairs = zip(cast("LookTensors", tensors).looks, looks.parts, strict=False)
        found = (cast("Detections", decode(raw, part, clock)) for raw, part in pairs)
        scene, plan = looks.scene, looks.plan
        merged = scene.memory.merged(plan, found, thresholds=self.thresholds)
        sure = max(self._least_score, self.thresholds.score)
        scene.planner.tell(plan.number, *scene.memory.known(sure))
        clock.lap("merge")
        return merged


def cropped(picture: Picture, region: Region, scratch: NDArray[np.uint8]) -> Picture:
    """Return a part of a picture, as a view where its format allows one.

    Args:
        picture: The whole.
        region: Of the image, as it is turned.
        scratch: `(n,)`, holds the part of a format that does not until the next call.
    """
    (image_width, image_height), (x, y, width, height) = picture.size_wh, astuple(region)
    if region.box == (0, 0, image_width, image_height):
        return picture
    right, below = image_width - x - width, image_height - y - height
    x, y = {0: (x, y), 90: (y, right), 180: (right, below), 270: (below, x)}[picture.rotate]
    if picture.rotate in SIDEWAYS:
        width, height = height, width
    rows, columns = slice(y, y + height), slice(x, x + width)
    pixels = picture.pixels
    if picture.format not in PLANAR:
        return replace(picture, pixels=pixels[rows, columns], larger=None)
    part = scratch[: height * 3 // 2 * width].reshape(-1, width)
    whole_height = pixels.shape[0] * 2 // 3
    part[:height] = pixels[rows, columns]
    if picture.format == "nv12":
        part[height:] = pixels[whole_height + y // 2 : whole_height + (y + height) // 2, columns]
    else:
        planes = pixels[whole_height:].reshape(2, whole_height // 2, -1)
        chroma = planes[:, y // 2 : (y + height) // 2, x // 2 : (x + width) // 2]
        part[height:].reshape(chroma.shape)[:] = chroma
    return replace(picture, pixels=part, larger=None)

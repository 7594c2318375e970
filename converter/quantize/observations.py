"""What a float model showed on its calibration set, each thing observed once for all attempts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from calibration.observe import Tallies, TappedModel, watch
from converter.graph.reading import read
from converter.graph.writing import write
from converter.quantize.repairs.adaptive_rounding import observe_covariances, round_weights
from converter.quantize.repairs.bias_correction import ChannelMeans
from converter.quantize.repairs.equalisation import equalise, observe_peaks
from converter.quantize.repairs.gains import saturated

if TYPE_CHECKING:
    from calibration.dataset import ImageSet
    from calibration.ranges import Range
    from converter.graph.values import Graph
    from converter.quantize.repairs.adaptive_rounding import Covariances
    from converter.quantize.repairs.bias_correction import Means
    from edge.model.model_file import ModelFile
    from edge.terminal.progress import Progress


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one run on each image shows: all that most recipes need."""

    tallies: Tallies
    means: Means
    pinned: dict[str, Range]


class Observations:
    """A float model, equalised or not, and what their tensors held, as it is asked for.

    Args:
        file: The float model.
        images: The calibration set.
        progress: Called with (images run, images to run), from the start for each observation.
    """

    def __init__(
        self, file: ModelFile, images: ImageSet, *, progress: Progress | None = None
    ) -> None:
        self.file = file
        self.images = images
        self.progress = progress
        # Of the float model, and of the equalised one.
        self._graphs: dict[bool, Graph] = {}
        self._seen: dict[bool, _Seen] = {}
        self._ranges: dict[tuple[str, bool], dict[str, Range]] = {}
        self._covariances: dict[bool, Covariances] = {}
        self._rounded: dict[tuple[bool, frozenset[str]], Graph] = {}

    def graph(self, *, equalised: bool) -> Graph:
        """Return the float model, equalised or as it is."""
        if equalised not in self._graphs:
            self._graphs[equalised] = (
                self._equalised() if equalised else read(self.file.flatbuffer, self.file.path)
            )
        return self._graphs[equalised]

    def _equalised(self) -> Graph:
        peaks = observe_peaks(self._model(), self.images, progress=self.progress)
        return equalise(self.graph(equalised=False), peaks)

    def _model(self, *, equalised: bool = False) -> TappedModel:
        # The file's own bytes, or its weights would be held once more.
        made = write(self.graph(equalised=True)) if equalised else self.file.flatbuffer
        return TappedModel(made, self.file.description.input)

    def ranges(self, calibrator: str, *, equalised: bool) -> dict[str, Range]:
        """Return the range of each tensor."""
        key = (calibrator, equalised)
        if key not in self._ranges:
            seen = self._watch(equalised=equalised)
            found = seen.tallies.ranges(calibrator, pinned=seen.pinned)
            self._ranges[key] = saturated(self.graph(equalised=equalised), found)
        return self._ranges[key]

    def means(self, *, equalised: bool) -> Means:
        """Return the mean of each channel of each tensor."""
        return self._watch(equalised=equalised).means

    def _watch(self, *, equalised: bool) -> _Seen:
        """Return what every recipe needs, of one run on each image."""
        if equalised not in self._seen:
            model = self._model(equalised=equalised)
            tallies, means = Tallies(), ChannelMeans()
            watch(model, self.images, (tallies, means), progress=self.progress)
            self._seen[equalised] = _Seen(tallies, means.means(), model.pinned())
        return self._seen[equalised]

    def covariances(self, *, equalised: bool) -> Covariances:
        """Return the covariance of what each convolution multiplies with its weights."""
        if equalised not in self._covariances:
            self._covariances[equalised] = observe_covariances(
                self.graph(equalised=equalised),
                self._model(equalised=equalised),
                self.images,
                progress=self.progress,
            )
        return self._covariances[equalised]

    def rounded(self, *, equalised: bool, skip: frozenset[str]) -> Graph:
        """Return the model with its weights rounded together, but for those of the ops to skip."""
        key = (equalised, skip)
        if key not in self._rounded:
            covariances = self.covariances(equalised=equalised)
            before = self.graph(equalised=equalised)
            self._rounded[key] = round_weights(before, covariances, skip=skip)
        return self._rounded[key]

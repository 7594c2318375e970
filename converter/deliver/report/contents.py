"""What a report holds, before it is JSON, Markdown or HTML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from calibration.image_sets import ImageSets
    from converter.conversion import Conversion, Judgement
    from converter.graph.values import Graph
    from converter.judge.bill import Bill
    from converter.judge.gate import Budget, Verdict
    from converter.judge.latency import Latency
    from converter.quantize.recipe import Recipe
    from converter.search.attempts import Attempt
    from converter.search.sensitivity import LayerError
    from edge.model.model_file import ModelFile


@dataclass(frozen=True, slots=True)
class Subject:
    """What the report is about: two models and what judged them.

    Attributes:
        reference: The float model.
        quantized: Made of it.
        judgement: On which images.
        bill: Of the quantised model on them.
        verdict: On the bill.
        sets: Of all images; `None` where the model was made elsewhere.
        attempts: What was tried, in that order; none where the model was made elsewhere.
        chosen: Index of the attempt that made `quantized`.
        base: The float graph that was quantised, where it may be another than the float model's;
            `None` where that is not known.
        files: Other files made beside the model, a line each.
    """

    reference: ModelFile
    quantized: ModelFile
    judgement: Judgement
    bill: Bill
    budget: Budget
    verdict: Verdict
    sets: ImageSets | None = None
    attempts: tuple[Attempt, ...] = ()
    chosen: int = 0
    base: Graph | None = None
    files: tuple[str, ...] = ()

    @property
    def recipe(self) -> Recipe | None:
        """The recipe that made `quantized`; `None` where the model was made elsewhere."""
        return self.attempts[self.chosen].recipe if self.attempts else None


def subject_of(done: Conversion, budget: Budget, *, files: tuple[str, ...] = ()) -> Subject:
    """Return what a conversion's report is about."""
    return Subject(
        done.reference,
        done.quantized,
        done.images.judgement,
        done.bill,
        budget,
        done.verdict,
        sets=done.images.sets,
        attempts=done.attempts,
        chosen=done.chosen,
        base=done.base,
        files=files,
    )


@dataclass(frozen=True, slots=True)
class Variant:
    """The model in one kind of numbers.

    Attributes:
        name: For people, such as `float16`.
        recipe: That made it; empty for the float model.
        size_bytes: Of the FlatBuffer.
        bill: Against the float model; `None` for the float model itself.
    """

    name: str
    recipe: str
    digest: str
    size_bytes: int
    latency: Latency
    bill: Bill | None


@dataclass(frozen=True, slots=True)
class Picture:
    """A file of the report's folder.

    Attributes:
        file_name: With `.jpg` or `.png`.
        caption: One sentence for people, without what the models' files say.
    """

    file_name: str
    data: bytes
    caption: str


@dataclass(frozen=True, slots=True)
class LayerFeatures:
    """One convolution of the float model, its filters and what they answer.

    Attributes:
        name: Of the tensor that it computes.
        op: Its kind, such as `CONV_2D`.
        norms: `(C,)` float64, L2 norm of each output channel's weights.
        spans: `(C,)` float64, greatest minus least value of each output channel over the images.
        dead: Channels whose output hardly changes.
        weak: Channels whose weights are next to nothing.
        kernels: `(C, h, w, I)` float32, weights by output channel; I is 1 if depthwise.
        maps: `(H, W, C)` float32, the output on one image.
    """

    name: str
    op: str
    norms: NDArray[np.float64]
    spans: NDArray[np.float64]
    dead: tuple[int, ...]
    weak: tuple[int, ...]
    kernels: NDArray[np.float32]
    maps: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything.

    Attributes:
        variants: The float model first, the one that was asked for last.
        layers: Errors of the quantised model, layer by layer; empty where they were not taken.
        side_by_side: Float and quantised model on the same images, the worst first.
        features: All convolutions of the float model, in the order in which they run.
        watched: Over how many images their channels were watched.
        drawn: Name of a layer to its pictures, of those that are shown.
        host: What the latency was measured on, by name.
        warnings: Sentences.
        elapsed_s: Part of the report to the seconds that it took.
    """

    subject: Subject
    variants: tuple[Variant, ...]
    layers: tuple[LayerError, ...]
    side_by_side: tuple[Picture, ...]
    features: tuple[LayerFeatures, ...]
    watched: int
    drawn: dict[str, tuple[Picture, ...]]
    host: dict[str, str]
    warnings: tuple[str, ...]
    elapsed_s: dict[str, float]

    def pictures(self) -> Sequence[Picture]:
        """Return every picture that stands in a file of its own."""
        return (*self.side_by_side, *(one for found in self.drawn.values() for one in found))

"""What a report holds, before it is JSON, Markdown or HTML."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from calibration.image_sets import ImageSets
    from converter.conversion import Conversion, Judgement
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
        files: Other files made beside the model, a line each.
        twin: The float FlatBuffer that was quantised, where it may be another than the float
            model's; `None` where that is not known.
    """

    reference: ModelFile
    quantized: ModelFile
    judgement: Judgement
    bill: Bill
    budget: Budget
    verdict: Verdict
    sets: ImageSets | None = None
    attempts: tuple[Attempt, ...] = field(default=())
    chosen: int = 0
    twin: bytes | None = None
    files: tuple[str, ...] = field(default=())

    @property
    def recipe(self) -> Recipe | None:
        """The recipe that made `quantized`; `None` where the model was made elsewhere."""
        return self.attempts[self.chosen].recipe if self.attempts else None


def subject_of(conversion: Conversion, budget: Budget) -> Subject:
    """Return what a conversion's report is about."""
    return Subject(
        reference=conversion.reference,
        quantized=conversion.quantized,
        judgement=conversion.images.judgement,
        sets=conversion.images.sets,
        bill=conversion.bill,
        budget=budget,
        verdict=conversion.verdict,
        attempts=conversion.attempts,
        chosen=conversion.chosen,
        twin=conversion.twin,
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
        file_name: With `.jpg`, `.png` or `.svg`.
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
class Features:
    """All convolutions, in the order in which they run.

    Attributes:
        image_count: Over how many images the channels were watched.
        drawn: Names of the layers that are shown in pictures.
    """

    layers: tuple[LayerFeatures, ...]
    image_count: int
    drawn: tuple[str, ...]
    pictures: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class Report:
    """Everything.

    Attributes:
        variants: The float model first, the one that was asked for last.
        layers: Errors of the quantised model, layer by layer; empty where they were not taken.
        side_by_side: Float and quantised model on the same images, the worst first.
        host: What the latency was measured on, by name.
        warnings: Sentences.
        elapsed_s: Part of the report to the seconds that it took.
    """

    subject: Subject
    variants: tuple[Variant, ...]
    layers: tuple[LayerError, ...]
    side_by_side: tuple[Picture, ...]
    features: Features
    host: dict[str, str]
    warnings: tuple[str, ...]
    elapsed_s: dict[str, float]

    def pictures(self) -> Sequence[Picture]:
        """Return every picture that stands in a file of its own."""
        return (*self.side_by_side, *self.features.pictures)

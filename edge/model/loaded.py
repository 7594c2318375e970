"""One loaded model: its description, what invokes it, and what its outputs mean.

The pipeline spreads the stages over three threads; a call runs them in a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edge.decode.checks import Misfit
from edge.errors import ModelError
from edge.frame import StageClock
from edge.heads import HEADS
from edge.model.backend import open_backend
from edge.model.delegates import CPU
from edge.model.spec import ModelSpec
from edge.preprocess import InputBuffer

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from edge.frame import Placement
    from edge.model.backend import Backend
    from edge.model.description import Description, Thresholds
    from edge.model.model_file import ModelFile
    from edge.model.spec import Tensors, TensorSpec
    from edge.results.observation import Result

# The key of the input tensor among the tensors of a head that reads it.
INPUT = "input"


class LoadedModel:
    """A model with the buffers of its stages.

    Filling an input buffer, `invoke` and `decode` may each have a thread of its own: they share
    nothing but the buffer, the tensors and the placement that the caller passes on.

    Args:
        spec: The model's contract.
        backend: What invokes it.
        thresholds: For its decoder.

    Attributes:
        spec: The model's contract.
        thresholds: What the decoder was made with.
        task: What it is for, a key of `edge.tasks.TASKS`.
        ran: Which backend runs it, on what.
    """

    def __init__(self, spec: ModelSpec, backend: Backend, thresholds: Thresholds) -> None:
        head = HEADS[spec.description.head.kind]
        self.spec = spec
        self.thresholds = thresholds
        self.task = head.task
        self.ran = backend.ran
        self._backend = backend
        self._decoder = head.decoder(spec, thresholds)
        self._reads_input = head.reads_input
        self._own: tuple[InputBuffer, Tensors] | None = None

    @property
    def description(self) -> Description:
        """Who the model is."""
        return self.spec.description

    def output_buffers(self) -> Tensors:
        """Return new buffers for the raw outputs, by role, owned by the caller."""
        wanted = dict(self.spec.outputs)
        if self._reads_input:
            wanted[INPUT] = self.spec.input
        return {role: np.empty(tensor.shape, tensor.dtype) for role, tensor in wanted.items()}

    def input_buffers(self, camera: str = "") -> tuple[InputBuffer, InputBuffer, InputBuffer]:
        """Return new input tensors of a camera, its own: to fill, waiting, in use."""
        return self.input_buffer(camera), self.input_buffer(camera), self.input_buffer(camera)

    def input_buffer(self, _camera: str = "") -> InputBuffer:
        """Return one new input tensor, or what the backend has in its place."""
        made: InputBuffer = getattr(self._backend, "input_buffer", InputBuffer)(self.spec)
        return made

    def invoke(self, buffer: InputBuffer, *, out: Tensors) -> None:
        """Run the model on a filled input and copy its raw outputs; the GIL is free meanwhile.

        Args:
            buffer: From `input_buffers`.
            out: From `output_buffers`; overwritten.

        Raises:
            DelegateError: The delegate's device failed.
        """
        self._backend.invoke(buffer.tensor, self.spec, out=out)
        if self._reads_input:
            np.copyto(out[INPUT], buffer.tensor)

    def invoke_bare(self) -> None:
        """Run the model on whatever its input holds; what a benchmark compares a pipeline with."""
        self._backend.invoke_bare()

    def decode(self, tensors: Tensors, placement: Placement, clock: StageClock) -> Result:
        """Return what the outputs mean, on the source frame; borrowed until the next call.

        Args:
            tensors: As `invoke` left them; read only.
            placement: Where the frame lies in the input.
            clock: Told when each stage is over: `decode`, and of boxes `suppress`.
        """
        return self._decoder.decode(tensors, placement, clock)

    def __call__(self, image: NDArray[np.uint8], clock: StageClock | None = None) -> Result:
        """Run all stages on one image; the result is borrowed until the next call.

        Args:
            image: `(H, W, 3)` uint8, B G R.
            clock: Told when each stage is over.
        """
        clock = clock or StageClock()
        if self._own is None:
            self._own = self.input_buffer(), self.output_buffers()
        buffer, tensors = self._own
        buffer.fill(image)
        clock.lap("preprocess")
        self.invoke(buffer, out=tensors)
        clock.lap("invoke")
        return self.decode(tensors, buffer.placement, clock)

    def with_thresholds(
        self,
        *,
        score: float | None = None,
        iou: float | None = None,
        max_detections: int | None = None,
    ) -> LoadedModel:
        """Return the model with a new decoder; both share what invokes it.

        What is not given stays as it is.
        """
        changed = self.thresholds.changed(score=score, iou=iou, max_detections=max_detections)
        return self.decoding_with(changed)

    def decoding_with(self, thresholds: Thresholds) -> LoadedModel:
        """Return the model with a new decoder; both share what invokes it."""
        return LoadedModel(self.spec, self._backend, thresholds)


def load_model(
    file: ModelFile,
    *,
    threads: int = 1,
    delegate: str = CPU,
    engine: Path | None = None,
    thresholds: Thresholds | None = None,
) -> LoadedModel:
    """Load a model, once its description and its declared tensors agree.

    Args:
        file: A verified model file.
        threads: Of the interpreter, >= 1.
        delegate: What runs the model, as `edge.model.delegates.parse` takes it.
        engine: Folder of the engine of a delegate that runs a prepared one.
        thresholds: `None` takes the description's.

    Raises:
        ConfigError: There is no delegate of that name.
        ModelError: The runtime refuses the model, or the description does not fit it.
        DelegateError: The delegate cannot be loaded, or the model is not made for it.
    """
    backend = open_backend(file, threads=threads, delegate=delegate, engine=engine)
    # An input of 30,000 x 30,000 takes 21 GiB: what is declared is compared before it is allocated,
    # and what was allocated afterwards.
    join(file, *backend.tensors(), is_declared=True)
    backend.allocate()
    if not _are_known(backend.tensors()[1]):
        backend.invoke_bare()
    spec = join(file, *backend.tensors())
    return LoadedModel(spec, backend, thresholds or file.description.thresholds())


def read_spec(file: ModelFile) -> ModelSpec:
    """Return a model's contract without allocating anything, which needs no delegate.

    Raises:
        ModelError: The runtime refuses the model, or the description does not fit it.
    """
    return join(file, *open_backend(file).tensors(), is_declared=True)


def _are_known(outputs: list[TensorSpec]) -> bool:
    return all(output.shape and min(output.shape) > 0 for output in outputs)


def join(
    file: ModelFile,
    inputs: list[TensorSpec],
    outputs: list[TensorSpec],
    *,
    is_declared: bool = False,
) -> ModelSpec:
    """Match a description with the tensors of its model.

    Args:
        file: The model.
        inputs: Of its backend.
        outputs: Likewise.
        is_declared: They are what the file says: of shapes that are not known yet the head is left
            unchecked.

    Raises:
        ModelError: They disagree; the message names both sides.
    """
    description = file.description
    try:
        spec = ModelSpec(description, _only(inputs, description), _by_role(outputs, description))
        # Some shapes only an allocation tells, or even an invoke.
        if not is_declared or _are_known(outputs):
            HEADS[description.head.kind].check(spec)
    except Misfit as error:
        remedy = f"edge inspect {file.path} --draft FILE, and correct what it writes"
        if file.manifest:
            remedy = "convert the model again"
        elif file.read_by == "toml":
            remedy = "correct its toml"
        raise ModelError(f"{file.path}: {error}; {remedy}") from error
    return spec


def _only(inputs: list[TensorSpec], description: Description) -> TensorSpec:
    if len(inputs) != 1 or inputs[0].shape not in description.input.shapes:
        found = ", ".join(str(tensor.shape) for tensor in inputs)
        raise Misfit(f"input is {found}, but the description says {description.input.shape}")
    return inputs[0]


def _by_role(outputs: list[TensorSpec], description: Description) -> dict[str, TensorSpec]:
    by_name = {tensor.name: tensor for tensor in outputs}
    missing = sorted(set(description.outputs.values()) - by_name.keys())
    if missing:
        raise Misfit(
            f"the description names output {missing[0]!r}, the model has "
            f"{', '.join(map(repr, sorted(by_name)))}"
        )
    return {role: by_name[name] for role, name in description.outputs.items()}

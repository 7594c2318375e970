"""What invokes a model: a table of runtimes, each behind the same four methods."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from edge.errors import DependencyError
from edge.model.delegates import CPU

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from edge.model.model_file import ModelFile
    from edge.model.spec import ModelSpec, Tensors, TensorSpec


class Backend(Protocol):
    """One model in one runtime; one thread at a time may use it."""

    def tensors(self) -> tuple[list[TensorSpec], list[TensorSpec]]:
        """Return the inputs and outputs, as the file declares them before `allocate`."""

    def allocate(self) -> None:
        """Take the memory that the tensors need.

        Raises:
            EdgeError: The runtime refuses the model.
        """

    def invoke(self, tensor: NDArray[Any], spec: ModelSpec, *, out: Tensors) -> None:
        """Run the model on one input and copy its outputs by role; the GIL is free meanwhile."""

    def invoke_bare(self) -> None:
        """Run the model on whatever its input holds."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """Where a backend stands.

    Attributes:
        module: Imported when a model is loaded.
        name: Of the class, called with (file, *, threads, delegate).
        install: What to type where a package of it is missing.
    """

    module: str
    name: str
    install: str


BACKENDS = {
    "litert": Runtime("edge.model.backends.litert", "LiteRt", "pip install ai-edge-litert"),
}


def open_backend(
    file: ModelFile, *, backend: str = "litert", threads: int = 1, delegate: str = CPU
) -> Backend:
    """Return a model in a runtime, not yet allocated.

    Raises:
        ModelError: The runtime refuses the model.
        DelegateError: The delegate cannot be loaded, or the model is not made for it.
        DependencyError: The runtime is not installed.
    """
    row = BACKENDS[backend]
    try:
        module = importlib.import_module(row.module)
    except ModuleNotFoundError as error:
        raise DependencyError(f"the backend {backend} is not installed; type: {row.install}") from (
            error
        )
    made: Backend = getattr(module, row.name)(file, threads=threads, delegate=delegate)
    return made

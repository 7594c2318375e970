"""What every frame source is: pictures on request, until there are no more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Self

    from edge.capture.picture import Picture


class Source(Protocol):
    """Where frames come from. Read by one thread; closed by whoever opened it, using `with`."""

    @property
    def live(self) -> bool:
        """Newest frame wins (True), or every frame is waited for (False)."""

    def read(self, buffer: NDArray[np.uint8] | None) -> Picture | None:
        """Return the next picture, or `None` when there are no more.

        Args:
            buffer: Pixels of a picture that was given before, to be used again where they fit;
                the source may keep buffers of its own instead.

        Raises:
            SourceError: The source broke.
        """

    def interrupt(self) -> None:
        """From any thread: let a `read` that waits, and each later one, return `None`."""

    def close(self) -> None:
        """Let go of the device or file; a second call does nothing."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...


SourceT = TypeVar("SourceT")


def enter(source: SourceT) -> SourceT:
    """Be the `__enter__` of a source."""
    return source


def leave(source: Source, *_: object) -> None:
    """Be the `__exit__` of a source."""
    source.close()

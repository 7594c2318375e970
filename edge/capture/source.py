"""What every frame source is: images on request, until there are no more."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from edge.errors import SourceError

if TYPE_CHECKING:
    from types import TracebackType

    import numpy as np
    from numpy.typing import NDArray
    from typing_extensions import Self


@dataclass(frozen=True, slots=True)
class SourceOptions:
    """What the user asks of a source; `None` leaves the choice to the source.

    Attributes:
        size_wh: Width and height to ask a camera for, pixels.
        rate_hz: Frames per second to ask a camera for, or to pace a file with.
        loop: Start again at the end of a file; a source without an end has no use for it.
        realtime: Give frames at their own rate and let late ones drop (True), or each one as fast
            as it is taken (False).
    """

    size_wh: tuple[int, int] | None = None
    rate_hz: float | None = None
    loop: bool = False
    realtime: bool | None = None

    def __post_init__(self) -> None:
        if self.size_wh is not None and min(self.size_wh) < 1:
            width, height = self.size_wh
            raise SourceError(
                f"a frame size must be at least 1x1 px, got {width}x{height}; write 1280x720"
            )
        if self.rate_hz is not None and not (0 < self.rate_hz < math.inf):
            raise SourceError(
                f"a frame rate must be above 0 Hz, got {self.rate_hz}; write a number such as 30"
            )


class Source(Protocol):
    """Where frames come from. Read by one thread; closed by whoever opened it, using `with`."""

    @property
    def live(self) -> bool:
        """Newest frame wins (True), or every frame is waited for (False)."""

    def read(self, buffer: NDArray[np.uint8] | None) -> NDArray[np.uint8] | None:
        """Return the next image, or `None` when there are no more.

        Args:
            buffer: `(H, W, 3)` uint8 to decode into, the caller's; not used unless it fits.

        Returns:
            `(H, W, 3)` uint8, B G R: `buffer` where its shape fits, else a new array that becomes
            the caller's.

        Raises:
            SourceError: The source broke.
        """

    def interrupt(self) -> None:
        """From any thread: let a `read` waiting for its time, and each later one, return `None`."""

    def close(self) -> None:
        """Let go of the device or file; a second call does nothing."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

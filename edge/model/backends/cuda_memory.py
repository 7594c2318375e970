"""A GPU's memory by its driver alone: what TensorRT's Python leaves to its caller.

Source: CUDA Driver API, modules Primary Context, Memory and Stream Management.
"""

from __future__ import annotations

import ctypes
import weakref
from typing import TYPE_CHECKING, Any

from edge.model import engines

if TYPE_CHECKING:
    from numpy.typing import NDArray

# CU_STREAM_NON_BLOCKING: it does not wait for what others have the GPU do.
NON_BLOCKING = 1


class CudaError(OSError):
    """The driver refused a call."""


class Gpu:
    """One GPU, in the context that TensorRT uses as well; `use` it on each thread.

    Args:
        number: Of the GPU, from 0; it is there: `edge.model.engines.gpu_name`.

    Attributes:
        stream: Handle of what its work is queued in.

    Raises:
        CudaError: It has no room.
    """

    def __init__(self, number: int) -> None:
        # The GIL is free during a call of `CDLL`.
        self._cuda = ctypes.CDLL(engines.CUDA_LIBRARY)
        device, stream = ctypes.c_int(), ctypes.c_void_p()
        self._context = ctypes.c_void_p()
        self._call("cuInit", ctypes.c_uint(0))
        self._call("cuDeviceGet", ctypes.byref(device), ctypes.c_int(number))
        self._call("cuDevicePrimaryCtxRetain", ctypes.byref(self._context), device)
        self.use()
        self._call("cuStreamCreate", ctypes.byref(stream), ctypes.c_uint(NON_BLOCKING))
        self.stream: int = stream.value or 0
        self._places: list[int] = []
        free = weakref.finalize(self, _free, self._cuda, self._context, self._places)
        free.atexit = False

    def use(self) -> None:
        """Let this thread's calls be about this GPU."""
        self._call("cuCtxSetCurrent", self._context)

    def room(self, size_bytes: int) -> int:
        """Return the address of so much of its memory, which is freed with this object."""
        place = ctypes.c_uint64()
        self._call("cuMemAlloc_v2", ctypes.byref(place), ctypes.c_size_t(max(1, size_bytes)))
        self._places.append(place.value)
        return place.value

    def send(self, array: NDArray[Any], place: int) -> None:
        """Queue the copy of a contiguous array to an address of its memory."""
        self._call("cuMemcpyHtoDAsync_v2", ctypes.c_uint64(place), *self._source(array))

    def fetch(self, place: int, array: NDArray[Any]) -> None:
        """Queue the copy from an address of its memory into a contiguous array."""
        to, *rest = self._source(array)
        self._call("cuMemcpyDtoHAsync_v2", to, ctypes.c_uint64(place), *rest)

    def finish(self) -> None:
        """Wait for all that is queued."""
        self._call("cuStreamSynchronize", ctypes.c_void_p(self.stream))

    def _source(self, array: NDArray[Any]) -> tuple[Any, ...]:
        return (
            ctypes.c_void_p(array.ctypes.data),
            ctypes.c_size_t(array.nbytes),
            ctypes.c_void_p(self.stream),
        )

    def _call(self, name: str, *arguments: object) -> None:
        if failed := getattr(self._cuda, name)(*arguments):
            raise CudaError(f"error {failed} of {name}")


def _free(cuda: Any, context: ctypes.c_void_p, places: list[int]) -> None:  # noqa: ANN401
    cuda.cuCtxSetCurrent(context)
    for place in places:
        cuda.cuMemFree_v2(ctypes.c_uint64(place))

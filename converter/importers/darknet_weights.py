"""A Darknet `.weights` file: a header, then the float32 numbers of every convolution in order."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from converter.importers.lookalikes import HEAD_BYTES, refuse_pointer
from edge.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from converter.importers.darknet_layers import Convolution, Network

VERSION = struct.Struct("<3i")
# Since format 0.2 the count of images seen is of 64 bits.
# Source: `load_weights_upto` of Darknet, src/parser.c.
WIDE_SEEN_SINCE = 2
# Above this the weights of fully connected layers are transposed; nothing else is known of such.
MAX_VERSION = 1000
# Under the root, as every CUDA kernel and `fuse_conv_batchnorm` (src/network.c, AlexeyAB) have it:
# weights are trained and used with it. Only pjreddie's CPU code has sqrt(variance) + 1e-6, and
# OpenCV sqrt(variance + 1e-6).
EPSILON = 1e-5


@dataclass(frozen=True, slots=True)
class Filters:
    """What a convolution multiplies with and adds, its normalisation folded in.

    Attributes:
        kernel: `(filters, channels / groups, size, size)` float32.
        bias: `(filters,)` float32.
    """

    kernel: NDArray[np.float32]
    bias: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Weights:
    """A whole file.

    Attributes:
        version: Of the format: major, minor, revision.
        filters: Of each convolution, by the number of its layer.
    """

    version: tuple[int, int, int]
    filters: dict[int, Filters]


def read_weights(path: Path, network: Network) -> Weights:
    """Return the weights of a network.

    Raises:
        ModelError: The file is missing, damaged, or does not fit the network.
    """
    convolutions = network.convolutions()
    count = sum(convolution.weights() for convolution in convolutions.values())
    version, numbers = _numbers(path, network, count)
    found = {}
    offset = 0
    for number, convolution in convolutions.items():
        own = numbers[offset : offset + convolution.weights()]
        offset += convolution.weights()
        found[number] = _filters(convolution, own)
        if not _all_finite(found[number]):
            raise ModelError(
                f"{path}: expected finite weights with variances of at least 0, found others "
                f"for {network.layers[number].where}; copy the weights again"
            )
    return Weights(version, found)


def _numbers(
    path: Path, network: Network, count: int
) -> tuple[tuple[int, int, int], NDArray[np.float32]]:
    """Return the version, and the file behind its header, `(count,)` float32."""
    try:
        with path.open("rb") as file:
            refuse_pointer(file.read(HEAD_BYTES), path, "the weights of a Darknet model")
            file.seek(0)
            version = _version(path, file.read(VERSION.size))
            header = _header_bytes(version)
            expected = header + 4 * count
            size = file.seek(0, os.SEEK_END)
            if size != expected:
                raise ModelError(
                    f"{path}: expected {expected} bytes of weights for {network.path}, found "
                    f"{size}; give the weights that belong to this cfg"
                )
            file.seek(header)
            return version, np.frombuffer(file.read(4 * count), "<f4")
    except FileNotFoundError as error:
        raise ModelError(
            f"{path}: no such file; put the weights of {network.path} there, or name them with: "
            "--weights FILE"
        ) from error
    except OSError as error:
        raise ModelError(f"{path}: cannot be read: {os.strerror(error.errno or 0)}") from error


def header_bytes(path: Path) -> int:
    """Return where the numbers begin."""
    with path.open("rb") as file:
        return _header_bytes(_version(path, file.read(VERSION.size)))


def _header_bytes(version: tuple[int, int, int]) -> int:
    return VERSION.size + (8 if version[0] * 10 + version[1] >= WIDE_SEEN_SINCE else 4)


def _version(path: Path, data: bytes) -> tuple[int, int, int]:
    if len(data) < VERSION.size:
        raise ModelError(
            f"{path}: expected the weights of a Darknet model, found {len(data)} bytes; "
            "copy the weights again"
        )
    major, minor, revision = VERSION.unpack(data)
    if not all(0 <= part <= MAX_VERSION for part in (major, minor, revision)):
        raise ModelError(
            f"{path}: expected the weights of a Darknet model, found a file that begins with "
            f"{data!r}; give the .weights that belong to the cfg"
        )
    return major, minor, revision


def _filters(convolution: Convolution, numbers: NDArray[np.float32]) -> Filters:
    """Cut the numbers of a convolution into bias, (scale, mean, variance) and kernel; fold."""
    vectors = 4 if convolution.normalized else 1
    rows = numbers[: vectors * convolution.filters].reshape(vectors, -1).astype(np.float64)
    kernel = numbers[vectors * convolution.filters :].astype(np.float64)
    channels = convolution.channels // convolution.groups
    kernel = kernel.reshape(convolution.filters, channels, convolution.size, convolution.size)
    bias = rows[0]
    # What is not finite, or the root of what is negative, is found by the caller.
    with np.errstate(all="ignore"):
        if convolution.normalized:
            _, scale, mean, variance = rows
            factor = scale / np.sqrt(variance + EPSILON)
            bias = bias - mean * factor
            kernel = kernel * factor[:, None, None, None]
        return Filters(kernel.astype(np.float32), bias.astype(np.float32))


def _all_finite(filters: Filters) -> bool:
    return bool(np.isfinite(filters.kernel).all() and np.isfinite(filters.bias).all())

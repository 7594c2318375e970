"""Reading Darknet weights: header versions, exact sizes, and the folded normalisation."""

from __future__ import annotations

import random
import struct

import numpy as np
import pytest
from damaged_files import refusal
from darknet_files import NETWORKS, cfg_of, write_darknet
from darknet_official import OFFICIAL

from converter.importers.darknet import importer as darknet
from converter.importers.darknet.network import read_network, read_weights
from edge.errors import EdgeError, ModelError

CFG = "[net]\nwidth=8\nheight=8\n[convolutional]\nbatch_normalize=1\nsize=2\nfilters=2\ngroups=1\n"
CHANGES = 200
# Bytes of the header of either format: version and the count of images.
HEADER_0_1, HEADER_0_2 = 12 + 4, 12 + 8


def write(folder, numbers, *, version=(0, 2, 5), seen=8):
    cfg = folder / "net.cfg"
    cfg.write_text(CFG)
    path = cfg.with_suffix(".weights")
    path.write_bytes(struct.pack("<3i", *version) + bytes(seen) + np.float32(numbers).tobytes())
    return path, read_network(cfg)


def numbers_of_one_convolution():
    """Return biases, scales, means, variances of two filters, then their 3 x 2 x 2 kernels."""
    return np.concatenate([[1, 2], [3, 4], [5, 6], [0.25, 1e-6], np.arange(24)])


def test_normalisation_is_folded_with_darknets_epsilon_under_the_root(tmp_path):
    path, network = write(tmp_path, numbers_of_one_convolution())

    filters = read_weights(path, network)[1][0]

    factors = np.array([3 / np.sqrt(0.25 + 1e-5), 4 / np.sqrt(1e-6 + 1e-5)])
    np.testing.assert_allclose(filters.bias, [1, 2] - np.array([5, 6]) * factors, rtol=1e-6)
    # Stored filter by filter, channel by channel, row by row.
    stored = np.arange(24).reshape(2, 3, 2, 2)
    for row, column, channel, number in np.ndindex(2, 2, 3, 2):
        expected = stored[number, channel, row, column] * factors[number]
        assert filters.kernel[number, channel, row, column] == pytest.approx(expected, rel=1e-6)


def test_weights_that_git_lfs_has_not_fetched_are_named(tmp_path):
    path, network = write(tmp_path, numbers_of_one_convolution())
    path.write_bytes(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")

    with pytest.raises(ModelError, match=r"weights of a Darknet model.*git lfs pull"):
        read_weights(path, network)


@pytest.mark.parametrize(
    ("version", "seen"),
    [((0, 1, 0), 4), ((0, 2, 0), 8), ((0, 2, 5), 8), ((1, 0, 0), 8)],
    ids=["0.1", "0.2.0", "0.2.5", "1.0"],
)
def test_the_count_of_images_has_64_bits_since_version_0_2(tmp_path, version, seen):
    path, network = write(tmp_path, numbers_of_one_convolution(), version=version, seen=seen)

    assert read_weights(path, network)[1][0].kernel[0, 0, 0, 0] == 0

    path, network = write(tmp_path, numbers_of_one_convolution(), version=version, seen=12 - seen)
    with pytest.raises(ModelError, match="bytes of weights for"):
        read_weights(path, network)


@pytest.mark.parametrize("name", OFFICIAL)
def test_official_networks_have_as_many_weights_as_their_files(tmp_path, name):
    layers, file_bytes = OFFICIAL[name]
    path = tmp_path / "net.cfg"
    path.write_text(cfg_of(layers, size_wh=(416, 416)))

    network = read_network(path)

    assert file_bytes - 4 * network.weights() in (HEADER_0_1, HEADER_0_2)
    assert network.warnings == ()


@pytest.mark.parametrize("change", [-4, -1, 1, 4], ids=["-4", "-1", "+1", "+4"])
def test_a_size_that_does_not_fit_is_refused_with_both_counts(tmp_path, change):
    path, network = write(tmp_path, numbers_of_one_convolution())
    data = path.read_bytes()
    path.write_bytes((data + bytes(4))[: len(data) + change])

    expected = 20 + 4 * (4 * 2 + 24)
    words = f"expected {expected} bytes of weights for .*net.cfg, found {expected + change};"
    with pytest.raises(ModelError, match=words):
        read_weights(path, network)


@pytest.mark.parametrize(
    ("place", "value"),
    [(0, np.nan), (2, np.inf), (6, -1.0), (31, -np.inf)],
    ids=["bias", "scale", "negative variance", "kernel"],
)
def test_numbers_that_are_not_finite_are_refused(tmp_path, place, value):
    numbers = numbers_of_one_convolution()
    numbers[place] = value
    path, network = write(tmp_path, numbers)

    with pytest.raises(ModelError, match=r"finite weights .* for .*line 4 \[convolutional\]"):
        read_weights(path, network)


@pytest.mark.parametrize("data", [b"", b"short", b"PK\x03\x04" * 9], ids=["empty", "short", "zip"])
def test_a_foreign_file_is_refused(tmp_path, data):
    path, network = write(tmp_path, numbers_of_one_convolution())
    path.write_bytes(data)

    with pytest.raises(ModelError, match="expected the weights of a Darknet model"):
        read_weights(path, network)


@pytest.mark.parametrize("name", NETWORKS)
def test_damaged_weights_are_read_or_refused_in_one_line(tmp_path, name):
    cfg = write_darknet(tmp_path, name)
    path = cfg.with_suffix(".weights")
    data = path.read_bytes()
    chance = random.Random(name)
    for _ in range(CHANGES):
        place = chance.randrange(len(data))
        path.write_bytes(data[:place])
        with pytest.raises(EdgeError, match=r"^[^\n]*expected [^\n]*found[^\n]*$"):
            darknet.import_darknet(cfg)
        # Half of the flips in the header, where they change the size that is expected.
        place = chance.choice([place, chance.randrange(12)])
        flipped = data[place] ^ 1 << chance.randrange(8)
        path.write_bytes(data[:place] + bytes([flipped]) + data[place + 1 :])
        assert "\n" not in refusal(darknet.import_darknet, cfg)

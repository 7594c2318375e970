"""Reading Darknet cfgs: shapes by hand arithmetic, and one sentence for whatever is wrong."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING

import pytest
from damaged_files import refusal
from darknet_files import NETWORKS, write_darknet
from hypothesis import given
from hypothesis import strategies as st

from converter.importers.darknet import importer as darknet
from converter.importers.darknet.cfg import MAX_CFG_BYTES, read_sections
from converter.importers.darknet.network import read_network
from edge.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

NET = "[net]\nwidth=32\nheight=24\n"
CHANGES = 200
SLOW_S = 10


def write(folder: Path, text: str) -> Path:
    path = folder / "net.cfg"
    path.write_text(text, encoding="latin-1")
    return path


def test_spaces_comments_and_line_ends_mean_nothing(tmp_path):
    path = write(
        tmp_path,
        "# a net\r\n[net]\r\n width = 3 2 \r\nheight=24 # rows\n\n; more\n[maxpool]\nsize=2",
    )

    net, pool = read_sections(path)

    assert (net.kind, net.options) == ("net", {"width": "32", "height": "24"})
    assert (pool.kind, pool.options) == ("maxpool", {"size": "2"})
    assert pool.where == f"{path} line 7 [maxpool]"


SHAPES = {
    "convolution": ("[conv]\nfilters=7\nsize=3\nactivation=relu", (22, 30, 7)),
    "convolution pad": ("[conv]\nfilters=7\nsize=5\npad=1\nactivation=relu6", (24, 32, 7)),
    "convolution padding": ("[conv]\nsize=5\npadding=1\nactivation=tanh", (22, 30, 1)),
    "convolution stride": ("[conv]\nsize=3\nstride=2\npad=1\nactivation=leaky", (12, 16, 1)),
    "strides": ("[conv]\nsize=3\nstride_x=4\nstride_y=2\npad=1\nactivation=leaky", (12, 8, 1)),
    "pool": ("[maxpool]\nsize=2\nstride=2", (12, 16, 3)),
    "pool stride 1": ("[maxpool]\nsize=2\nstride=1", (24, 32, 3)),
    "pool of odd sides": ("[maxpool]\nsize=2\nstride=2\n[maxpool]\nstride=8", (2, 2, 3)),
    "pool padding": ("[maxpool]\nsize=3\nstride=2\npadding=0", (11, 15, 3)),
    "average": ("[avgpool]", (1, 1, 3)),
    "route": ("[maxpool]\n[maxpool]\n[route]\nlayers=-1,0", (24, 32, 6)),
    "route group": ("[conv]\nfilters=8\n[route]\nlayers=-1\ngroups=4\ngroup_id=3", (24, 32, 2)),
    "upsample": ("[upsample]\nstride=3", (72, 96, 3)),
    "reorg": ("[conv]\nfilters=4\n[reorg]\nstride=2", (12, 16, 16)),
    "dropout": ("[dropout]\nprobability=.5", (24, 32, 3)),
}


@pytest.mark.parametrize(("text", "shape"), SHAPES.values(), ids=SHAPES.keys())
def test_shapes_are_darknets(tmp_path, text, shape):
    network = read_network(write(tmp_path, NET + text))

    assert network.layers[-1].shape == shape
    assert network.size_wh == (32, 24)


def test_the_mirrored_pool_and_same_pool_differ_only_where_darknet_does(tmp_path):
    text = NET + "[maxpool]\nsize=3\nstride=2\n[maxpool]\nsize=3\nstride=1\n"

    first, second = read_network(write(tmp_path, text)).layers

    assert (first.shape, second.shape) == ((12, 16, 3), (12, 16, 3))


def test_an_unknown_key_is_left_out_with_a_warning(tmp_path):
    network = read_network(write(tmp_path, f"{NET}[maxpool]\nsize=2\nstrid=2\n"))

    (warning,) = network.warnings
    assert "line 4 [maxpool]: 'strid' is unknown and was left out" in warning
    assert network.layers[0].shape == (24, 32, 3)


HEAD = "[conv]\nfilters=16\nactivation=linear\n[yolo]\nnum=2\nclasses=3\nanchors=1,2,3,4\n"
REFUSED = {
    "empty": ("", "begins with .net., found no section"),
    "foreign": ("PK\x03\x04", r"begins with .net., found 'PK"),
    "other start": ("[maxpool]\n", r"begins with .net., found .maxpool."),
    "no size": ("[net]\nwidth=32\n", "'width' and 'height'"),
    "section": (f"{NET}[gru]\noutput=3\n", r"line 4 .gru.: expected one of .*found 'gru'"),
    "broken section": (f"{NET}[max pool]x\n", r"expected a section such as .*\[maxpool\]x"),
    "no value": (f"{NET}[maxpool]\nsize\n", "'key = value' in line 5, found 'size'"),
    "twice": (f"{NET}[maxpool]\nsize=2\nsize=3\n", "'size' once, found another value in line 6"),
    "number": (f"{NET}[maxpool]\nsize=two\n", "'size' to be a whole number .* found 'two'"),
    "fraction": (f"{NET}[maxpool]\nsize=2.5\n", "'size' to be a whole number .* found '2.5'"),
    "activation": (f"{NET}[conv]\nactivation=selu\n", "an activation, one of .* found 'selu'"),
    "dilation": (f"{NET}[conv]\ndilation=2\n", "'dilation = 1', the only one supported, found '2'"),
    "xnor": (f"{NET}[conv]\nxnor=1\n", "'xnor = 0', the only one supported"),
    "groups": (f"{NET}[conv]\nfilters=4\ngroups=2\n", "divide 3 channels and 4 filters, found 2"),
    "route ahead": (f"{NET}[maxpool]\n[route]\nlayers=1\n", "from -1 to 0, found '1'"),
    "route back": (f"{NET}[maxpool]\n[route]\nlayers=-2\n", "from -1 to 0, found '-2'"),
    "route nothing": (f"{NET}[maxpool]\n[route]\n", "'layers' with whole numbers, found none"),
    "route sides": (
        f"{NET}[maxpool]\n[maxpool]\nstride=2\n[route]\nlayers=-1,-2\n",
        "layers of one height and width",
    ),
    "route groups": (f"{NET}[maxpool]\n[route]\nlayers=-1\ngroups=2\n", "'groups' to divide"),
    "shortcut": (
        f"{NET}[maxpool]\n[maxpool]\nstride=2\n[shortcut]\nfrom=-2\n",
        r"height and width of the layer before, 12 x 16 x 3 .* found 24 x 32 x 3",
    ),
    "weighted": (
        f"{NET}[maxpool]\n[shortcut]\nfrom=-1\nweights_type=per_channel\n",
        "'weights_type = none', the only one supported, found 'per_channel'",
    ),
    "reorg": (f"{NET}[reorg]\nstride=2\n", "multiples of the stride 2, channels of its square"),
    "vanished": (f"{NET}[conv]\nsize=40\n", "something to come out"),
    "filters": (
        HEAD.replace("16", "17").join([NET, ""]),
        r"'filters = 16' in the convolution before.* found 17",
    ),
    "head activation": (
        NET + HEAD.replace("linear", "leaky"),
        "'activation = linear' in the convolution before, found 'leaky'",
    ),
    "head on pool": (f"{NET}[maxpool]\n[yolo]\n", "a convolution of one group just before"),
    "read a head": (f"{NET}{HEAD}[maxpool]\n", "found layer 1, a head"),
    "mask": (f"{NET}{HEAD}mask=0,2\n", "'mask' to be a whole number from 0 to 1, found '2'"),
    "mask twice": (f"{NET}{HEAD}mask=0,0\n", "each anchor once in 'mask'"),
    "anchors": (NET + HEAD.replace("3,4", "3"), "4 numbers in 'anchors' for 'num = 2', found 3"),
    "no anchors": (NET + HEAD.replace("anchors=1,2,3,4", ""), "'anchors' with numbers, found none"),
    "infinite anchor": (NET + HEAD.replace("3,4", "3,inf"), "found 'inf'"),
    "zero anchor": (NET + HEAD.replace("3,4", "3,0"), "found '0'"),
    "pool padding": (f"{NET}[maxpool]\nsize=2\npadding=3\n", "'padding' of at most the size, 2"),
}


@pytest.mark.parametrize(("text", "words"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_wrong_or_unsupported_is_refused_by_name(tmp_path, text, words):
    with pytest.raises(ModelError, match=words):
        read_network(write(tmp_path, text))


HOSTILE = {
    "sides": "[net]\nwidth=1000000000\nheight=1000000000\n",
    "digits": f"[net]\nwidth={'9' * 5000}\nheight=1\n",
    "negative": "[net]\nwidth=-1\nheight=-1\n",
    "filters": f"{NET}[conv]\nfilters=1000000000\n",
    "kernel": f"{NET}[conv]\nsize=1000000\n",
    "upsamples": NET + "[upsample]\nstride=64\n" * 5,
    "routes": NET + "[maxpool]\n" + f"[route]\nlayers={'-1,' * 200}-1\n" * 20,
    "long list": f"{NET}[maxpool]\n[route]\nlayers={'-1,' * 100_000}-1\n",
    "weights": NET + "[avgpool]\n" + "[conv]\nsize=3\npad=1\nfilters=32000\n" * 9,
    "sections": NET + "[dropout]\n" * 20_000,
    "file": NET + "#" * MAX_CFG_BYTES,
}  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_sizes_are_refused_at_once(tmp_path, text):
    started = time.thread_time()

    with pytest.raises(ModelError, match="expected"):
        read_network(write(tmp_path, text))

    assert time.thread_time() - started < SLOW_S


@pytest.mark.parametrize("kind", ["missing", "folder"])
def test_a_path_that_is_no_file_is_one_sentence(tmp_path, kind):
    path = tmp_path if kind == "folder" else tmp_path / "no.cfg"

    with pytest.raises(ModelError, match="no such file" if kind == "missing" else "cannot be read"):
        read_network(path)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("damage", ["cut", "flipped"])
def test_a_damaged_cfg_is_read_or_refused_in_one_line(tmp_path, name, damage):
    path = write_darknet(tmp_path, name)
    data = path.read_bytes()
    chance = random.Random(name)
    for _ in range(CHANGES):
        place = chance.randrange(len(data))
        flipped = data[place] ^ 1 << chance.randrange(8)
        rest = data[place + 1 :] if damage == "flipped" else b""
        path.write_bytes(data[:place] + bytes([flipped]) + rest)
        started = time.thread_time()

        assert "\n" not in refusal(darknet.import_darknet, path)
        assert time.thread_time() - started < SLOW_S


@given(st.text(alphabet="[]=#;,.-0123456789eE\n\0 netcovmaxpl\xff", max_size=200))
def test_any_text_is_read_or_refused_in_one_line(tmp_path_factory, text):
    path = write(tmp_path_factory.mktemp("text"), text)

    assert "\n" not in refusal(read_network, path)

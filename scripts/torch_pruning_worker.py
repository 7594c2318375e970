"""Prune a net of convolutions by Torch-Pruning; run by the Python of an environment of its own.

It knows nothing of this repository: `net.npz` holds the ops as JSON and their weights, `out.npz`
gets the weights that are left. The ratio of channels is found by halving.
"""

from __future__ import annotations

import argparse
import copy
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch_pruning as tp
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

HALVINGS = 9
ROUND_TO = 8
ACTIVATIONS = {
    "NONE": lambda x: x,
    "RELU": functional.relu,
    "RELU6": functional.relu6,
}


def same(
    x: torch.Tensor, size: Sequence[int], strides: Sequence[int], *, value: float = 0.0
) -> torch.Tensor:
    """Pad as TensorFlow's SAME: what is odd comes behind."""
    pads = []
    for side, kernel, stride in zip(x.shape[:1:-1], size[::-1], strides[::-1], strict=True):
        total = max((-(-side // stride) - 1) * stride + kernel - side, 0)
        pads += [total // 2, total - total // 2]
    return functional.pad(x, pads, value=value) if any(pads) else x


class Net(nn.Module):
    """The graph up to the maps of its heads, channels first."""

    def __init__(self, ops: list[dict[str, Any]], arrays: dict[str, Any], source: str) -> None:
        super().__init__()
        self.ops, self.source, self.places = ops, source, {}
        self.convs = nn.ModuleList()
        for op in ops:
            if "weights" not in op:
                continue
            weights, bias = (torch.from_numpy(arrays[op[key]]) for key in ("weights", "bias"))
            groups = len(weights) if op["kind"] == "DEPTHWISE_CONV_2D" else 1
            conv = nn.Conv2d(weights.shape[1] * groups, len(weights), weights.shape[2:],
                             stride=op["strides"], groups=groups)  # fmt: skip
            conv.weight.data, conv.bias.data = weights, bias
            self.places[op["output"]] = len(self.convs)
            self.convs.append(conv)

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        """Return the maps of the heads."""
        found = {self.source: image}
        for op in self.ops:
            x = [found[name] for name in op["inputs"]]
            found[op["output"]] = ACTIVATIONS[op["activation"]](self.made(op, x))
        return [found[op["output"]] for op in self.ops if op["is_head"]]

    def made(self, op: dict[str, Any], x: list[torch.Tensor]) -> torch.Tensor:
        """Compute one op."""
        if op["output"] in self.places:
            conv = self.convs[self.places[op["output"]]]
            is_same = op["padding"] == "SAME"
            return conv(same(x[0], conv.kernel_size, conv.stride) if is_same else x[0])
        if op["kind"] == "MAX_POOL_2D":
            padded = same(x[0], op["size"], op["strides"], value=-torch.inf)
            return functional.max_pool2d(padded, op["size"], op["strides"])
        if op["kind"] == "LEAKY_RELU":
            return functional.leaky_relu(x[0], op["alpha"])
        if op["kind"] == "RESIZE_NEAREST_NEIGHBOR":
            return functional.interpolate(x[0], scale_factor=op["factor"])
        return torch.cat(x, 1) if op["kind"] == "CONCATENATION" else x[0] + x[1]


def pruned(net: Net, ratio: float, images: torch.Tensor, *, taylor: bool) -> tuple[Net, float]:
    """Return a copy with this part of all channels gone, and its share of the MACs."""
    other = copy.deepcopy(net)
    image, found = images[:1], tp.importance
    importance = found.GroupTaylorImportance() if taylor else found.GroupMagnitudeImportance(p=2)
    heads = [other.convs[other.places[op["output"]]] for op in net.ops if op["is_head"]]
    pruner = tp.pruner.MetaPruner(
        other, image, importance=importance, pruning_ratio=ratio, global_pruning=True,
        round_to=ROUND_TO, ignored_layers=heads, max_pruning_ratio=0.75,
    )  # fmt: skip
    if taylor:  # the slope of the outputs' energy: nothing else is known without labels
        for one in images:
            sum(torch.square(each).sum() for each in other(one[None])).backward()
    pruner.step()
    whole, left = (tp.utils.count_ops_and_params(each, image)[0] for each in (net, other))
    return other, left / whole


def main() -> None:
    """Prune until this part of the MACs is left."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("net")
    parser.add_argument("out")
    parser.add_argument("--macs", type=float, required=True)
    parser.add_argument("--importance", choices=("magnitude", "taylor"), required=True)
    words = parser.parse_args()
    arrays = dict(np.load(words.net))
    told = json.loads(str(arrays["ops"]))
    torch.set_num_threads(1)
    images = torch.from_numpy(arrays["images"])
    net = Net(told["ops"], arrays, told["source"]).eval()
    with torch.no_grad():
        for found, name in zip(net(images[:1]), told["heads"], strict=True):
            error = float((found - torch.from_numpy(arrays[f"head {name}"])).abs().max())
            if error > 1e-2:  # noqa: PLR2004 - raw heads reach 30
                raise SystemExit(f"{name}: the torch net is {error:g} off the float model")
    low, high, best = 0.0, 0.75, None
    for _ in range(HALVINGS):
        ratio = (low + high) / 2
        other, left = pruned(net, ratio, images, taylor=words.importance == "taylor")
        low, high = (ratio, high) if left > words.macs else (low, ratio)
        if left >= words.macs or best is None:
            best = (other, left)
    print(f"{best[1]:.3f} of the MACs left")
    made = {}
    for op in told["ops"]:
        if op["output"] in net.places:
            conv = best[0].convs[net.places[op["output"]]]
            made[op["weights"]], made[op["bias"]] = (
                each.detach().numpy() for each in (conv.weight, conv.bias)
            )
    np.savez(words.out, **made)


if __name__ == "__main__":
    main()

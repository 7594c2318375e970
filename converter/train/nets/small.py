"""A convolutional autoencoder, and a classifier on MobileNetV2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from converter.train.nets.layers import COLOURS, IMAGE, Layers, multiple
from converter.train.nets.mobilenet import mobilenet_v2, trained
from edge.decode.anomaly import AnomalyHead
from edge.decode.classes import ClassesHead

if TYPE_CHECKING:
    from converter.draft import Draft
    from converter.train.nets.wish import Wish

# Channels on the way down, and of the narrow middle, so few that it must learn what is usual.
DOWN, MIDDLE = (16, 32, 64), 16
# Replaced by what the select images say once it is trained.
THRESHOLD = 0.01


def autoencoder(wish: Wish) -> Draft:
    """Return a net that gives its input again; what it can't is unusual.

    Source: Masci et al. 2011, "Stacked Convolutional Auto-Encoders for Hierarchical Feature
    Extraction"; noise on its input: Vincent et al. 2008, "Denoising Autoencoders".
    """
    wish.check_sides(2 ** len(DOWN))
    net = Layers(wish.size_wh, seed=wish.seed)
    x = IMAGE
    for channels in DOWN:
        x = net.conv(x, multiple(channels * wish.width), stride=2)
    x = net.conv(x, multiple(MIDDLE * wish.width), kernel=1)
    for channels in reversed(DOWN):
        x = net.bent(net.doubled(x, multiple(channels * wish.width)), "RELU")
    graph = net.graph({"reconstruction": net.head(x, COLOURS, kernel=3)})
    return wish.draft(graph, AnomalyHead(threshold=THRESHOLD))


def classifier(wish: Wish) -> Draft:
    """Return MobileNetV2 with a mean over the image and one fully connected layer."""
    weights = trained(wish.backbone) if wish.width == 1 else ()
    net = Layers(wish.size_wh, seed=wish.seed, trained=weights)
    x = mobilenet_v2(net, IMAGE, width=wish.width)[32]
    classes = len(wish.labels)
    scores = net.head(net.b.reduce("MEAN", x, (1, 2)), classes)  # (1, 1, 1, C)
    graph = net.graph({"scores": net.b.reshape(scores, (1, classes))})
    return wish.draft(graph, ClassesHead(activation="softmax", top=min(classes, 5)))

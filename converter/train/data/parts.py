"""Which labelled images train, which select, and which judge."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from converter.train.data.labelled import Labelled, Sample

# Of all images: what selects and what judges.
SHARE = 0.15
LEAST_HELD = 4


@dataclass(frozen=True, slots=True)
class Parts:
    """The samples that train, those that choose the best weights, those that judge once."""

    train: tuple[Sample, ...]
    select: tuple[Sample, ...]
    judge: tuple[Sample, ...]


def share_out(
    found: Labelled, *, seed: int, judge: Sequence[Path] = (), select: Sequence[Path] = ()
) -> Parts:
    """Share the samples out, by seed; those that are named for a part go there.

    Raises:
        SourceError: None is left to train on.
    """
    named = dict.fromkeys(judge, "judge") | dict.fromkeys(select, "select")
    parts: dict[str, list[Sample]] = {"judge": [], "select": [], "train": []}
    for sample in found.samples:
        parts[named.get(sample.path, "train")].append(sample)
    rest = parts["train"]
    order = np.random.default_rng(seed).permutation(len(rest)).tolist()
    share = max(LEAST_HELD, round(SHARE * len(found.samples)))
    for part in ("judge", "select"):
        if not parts[part]:
            parts[part] = [rest[at] for at in sorted(order[:share])]
            order = order[share:]
    train = tuple(rest[at] for at in sorted(order))
    if not train:
        raise SourceError(
            "expected images to train on, found none besides those held back; add some"
        )
    return Parts(train, tuple(parts["select"]), tuple(parts["judge"]))

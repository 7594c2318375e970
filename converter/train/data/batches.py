"""Batches for the loop: each a pure function of the seed and the step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from converter.train.data.augment import PLAIN, changed
from converter.train.loop import IMAGE
from converter.train.matching import Labels
from edge.draw.jpeg import reduced
from edge.evaluation.images import read_image
from edge.evaluation.mask_folder import read_mask

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from converter.train.data.augment import Changes
    from converter.train.data.labelled import Sample
    from edge.model.description import InputTransform

    Targets = dict[str, NDArray[Any]]

# Images are kept decoded, at most so large against the input, and so many bytes of them.
MOST_SIDES, MOST_BYTES = 2, 768 * 2**20
ORDER = {"rgb": cv2.COLOR_BGR2RGB, "grey": cv2.COLOR_BGR2GRAY}


class Batches:
    """Labelled images in an order that a seed shuffles anew each time all were seen.

    Args:
        samples: At least one.
        transform: How an image becomes the input.
        targets: What one image's labels become.
        changes: Of each image.
        batch: Images a step.
        seed: Of the order and the changes.
        is_binary: The masks hold 0 and 255.
        noise: Deviation of what is added to the input; the clean one is then in `clean`.
    """

    def __init__(  # noqa: PLR0913
        self,
        samples: Sequence[Sample],
        transform: InputTransform,
        targets: Callable[[Labels], Targets],
        *,
        changes: Changes = PLAIN,
        batch: int = 16,
        seed: int = 0,
        is_binary: bool = False,
        noise: float = 0.0,
    ) -> None:
        self._samples, self._transform, self._targets = samples, transform, targets
        self._changes, self._batch, self._seed = changes, batch, seed
        self._is_binary, self._noise = is_binary, noise
        self._kept: dict[int, tuple[NDArray[np.uint8], Labels]] = {}
        self._kept_bytes = 0
        pixels = np.arange(256, dtype=np.float32)[:, None]
        mean, std = (np.array(row, np.float32) for row in (transform.mean, transform.std))
        self._table = (pixels - mean) / std  # (256, 3)

    def __call__(self, step: int) -> Targets:
        """Return the arrays of a step, stacked along the first axis."""
        rows = []
        for place in range(step * self._batch, (step + 1) * self._batch):
            turn, at = divmod(place, len(self._samples))
            order = np.random.default_rng((self._seed, turn)).permutation(len(self._samples))
            random = np.random.default_rng((self._seed, turn, at, 1))
            rows.append(self._row(int(order[at]), random))
        return {name: np.stack([row[name] for row in rows]) for name in rows[0]}

    def _row(self, number: int, random: np.random.Generator) -> Targets:
        image, labels = self._read(number)
        seen, true = changed(
            image, labels, transform=self._transform, changes=self._changes, random=random
        )
        net = self._net(seen)
        row = {IMAGE: net, **self._targets(true)}
        if self._noise:
            noisy = net + random.normal(0, self._noise, net.shape).astype(np.float32)
            row |= {IMAGE: noisy, "clean": net}
        return row

    def _net(self, seen: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return what the net reads of B G R pixels, `(H, W, C)` float32."""
        code = ORDER.get(self._transform.color)
        colours = seen if code is None else np.asarray(cv2.cvtColor(seen, code), np.uint8)
        colours = colours.reshape(*seen.shape[:2], -1)
        return np.stack(
            [self._table[colours[..., at], at] for at in range(colours.shape[2])], axis=-1
        )

    def _read(self, number: int) -> tuple[NDArray[np.uint8], Labels]:
        if number in self._kept:
            return self._kept[number]
        sample = self._samples[number]
        image = read_image(sample.path)
        small = reduced(image, MOST_SIDES * max(self._transform.size_wh))
        ratio = small.shape[1] / image.shape[1]
        mask = None
        if sample.mask is not None:
            mask = read_mask(sample.mask, is_binary=self._is_binary)
            if small is not image:
                size_wh = small.shape[1::-1]
                mask = np.asarray(
                    cv2.resize(mask, size_wh, interpolation=cv2.INTER_NEAREST), np.uint8
                )
        labels = Labels(
            sample.boxes * np.float32(ratio), sample.class_ids, sample.is_crowd, mask,
            sample.class_id,
        )  # fmt: skip
        if self._kept_bytes < MOST_BYTES:
            self._kept[number] = small, labels
            self._kept_bytes += small.nbytes
        return small, labels

"""Which layers of a quantised model do the damage."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LayerError:
    """One layer of a quantised model against the float model.

    Attributes:
        name: Of the tensor that it computes, in both models.
        op: Its kind, such as `CONV_2D`.
        snr_db: Of that tensor in the quantised model: power of the float one over that of the
            difference, errors of the layers before it included.
        share: Of the squared error at the outputs that the layers cause when each is quantised
            alone, the ratio that is this one's; all shares add up to 1.
    """

    name: str
    op: str
    snr_db: float
    share: float

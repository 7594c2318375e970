"""From the configuration that holds to another one, between two frames."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge import app
from edge.tasks import THRESHOLDS

if TYPE_CHECKING:
    from edge.app import Parts
    from edge.config.sections import Config

# Sections that are followed as a whole.
FOLLOWED = ("tracking", "zones", "lines", "masks", "filters", "events")


def follow(parts: Parts, wanted: Config) -> str:
    """Take over what may change while frames run; return what has changed and what can't.

    Raises:
        EdgeError: It does not fit; nothing has changed.
    """
    config = parts.config
    update = {key: getattr(wanted.model, key) for key in THRESHOLDS}
    followed = {key: getattr(wanted, key) for key in FOLLOWED}
    as_is = config.replace(model=config.model.replace(**update), **followed)
    parts.behave(as_is)
    said = f"thresholds are {app.thresholds(as_is, parts.model.description)}"
    if as_is != wanted:
        said += "; the rest of the configuration has changed too; restart to follow it"
    return said

"""The JSON Schema of every message, and which one holds on which topic."""

from __future__ import annotations

import sys
from typing import Any, get_type_hints, is_typeddict

from msgspec.json import schema_components

from edge.messages.control import (
    InstallPayload,
    ModePayload,
    ReplyPayload,
    SettingsPayload,
    UpdatePayload,
)
from edge.messages.envelope import SCHEMA_VERSION, IntroductionPayload
from edge.messages.events import CountsPayload, EventPayload
from edge.messages.health import HealthPayload
from edge.messages.stats import StatsPayload
from edge.tasks import TASKS

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"
# Those of JSON, below `edge/<device>/`.
TOPICS: dict[str, Any] = {
    **{f"<camera>/{task.topic}": task.payload for task in TASKS.values()},
    "<camera>/events": EventPayload,
    "<camera>/counts": CountsPayload,
    "<camera>/health": HealthPayload,
    "stats": StatsPayload,
    "model": IntroductionPayload,
    "mode": ModePayload,
    "update": UpdatePayload,
    "install": InstallPayload,
    "settings": SettingsPayload,
    "reply/<name>": ReplyPayload,
}


def schema() -> dict[str, Any]:
    """Return the schema, derived from the types that encode the messages."""
    # From Python 3.14.8 on, msgspec 0.22 looks up what an inherited field names in the module of
    # the heir. What is looked up already stays; an heir asks its bases, so that all come first.
    modules = [sys.modules[kind.__module__] for kind in TOPICS.values()]
    kinds = {each for module in modules for each in vars(module).values() if is_typeddict(each)}
    for each, hints in [(each, get_type_hints(each, include_extras=True)) for each in kinds]:
        each.__annotations__ = hints
    parts, components = schema_components(TOPICS.values(), ref_template="#/$defs/{name}")
    return {
        "$schema": SCHEMA_DIALECT,
        "title": f"edge-vision payload, version {SCHEMA_VERSION}",
        "anyOf": list(parts),
        "topics": dict(zip(TOPICS, parts, strict=True)),
        "$defs": components,
    }

"""The JSON Schema of every message."""

from __future__ import annotations

from typing import Any

from msgspec.json import schema_components

from edge.messages.envelope import SCHEMA_VERSION
from edge.messages.events import CountsPayload, EventPayload
from edge.tasks import TASKS

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """Return the schema, derived from the types that encode the messages."""
    kinds = [*(task.payload for task in TASKS.values()), EventPayload, CountsPayload]
    parts, components = schema_components(kinds, ref_template="#/$defs/{name}")
    return {
        "$schema": SCHEMA_DIALECT,
        "title": f"edge-vision payload, version {SCHEMA_VERSION}",
        "anyOf": list(parts),
        "$defs": components,
    }

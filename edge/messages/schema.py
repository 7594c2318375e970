"""The JSON Schema of every message."""

from __future__ import annotations

from typing import Any, Union

from pydantic import TypeAdapter

from edge.messages.envelope import SCHEMA_VERSION
from edge.tasks import TASKS

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """Return the schema, derived from the types that encode the messages."""
    any_message: Any = Union[tuple(task.payload for task in TASKS.values())]  # noqa: UP007
    adapter: TypeAdapter[Any] = TypeAdapter(any_message)
    return {
        "$schema": SCHEMA_DIALECT,
        **adapter.json_schema(mode="serialization"),
        "title": f"edge-vision payload, version {SCHEMA_VERSION}",
    }

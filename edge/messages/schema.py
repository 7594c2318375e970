"""The JSON Schema of every message."""

from __future__ import annotations

from typing import Any

from pydantic import TypeAdapter

from edge.messages.detections import DetectionsPayload
from edge.messages.envelope import SCHEMA_VERSION
from edge.messages.segmentation import SegmentationPayload

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema() -> dict[str, Any]:
    """Return the schema, derived from the types that encode the messages."""
    adapter: TypeAdapter[DetectionsPayload | SegmentationPayload] = TypeAdapter(
        DetectionsPayload | SegmentationPayload
    )
    return {
        "$schema": SCHEMA_DIALECT,
        **adapter.json_schema(mode="serialization"),
        "title": f"edge-vision payload, version {SCHEMA_VERSION}",
    }

"""Write `homeassistant.json`: how a device with everything announces itself. Run it from the root.

Versions and the board's name, which are each machine's own, are left out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from edge.config.reading import load
from edge.homeassistant.discovery import told_of
from edge.model import model_file
from edge.model.default import default_model_path

GOLDEN = Path(__file__).with_suffix("").with_name("homeassistant.json")
CONFIGURATION = Path(__file__).with_name("homeassistant.toml")


def announced() -> dict[str, Any]:
    """Return the announcement of `homeassistant.toml` and the built-in model."""
    description = model_file.read(default_model_path()).description
    told = told_of(load(CONFIGURATION, {}), description, has_sensor=True)
    fields: dict[str, Any] = json.loads(told.message(told.cmps).payload)
    del fields["dev"]["sw"], fields["dev"]["mdl"], fields["o"]["sw"]
    return fields


if __name__ == "__main__":
    GOLDEN.write_text(
        json.dumps(announced(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8"
    )

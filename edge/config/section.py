"""What every section of the configuration is: frozen, and strict about what it does not know."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from edge.messages.envelope import NAME_PATTERN

Name = Annotated[str, Field(pattern=rf"^{NAME_PATTERN.pattern}$")]
Ratio = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """One table of the TOML file."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        protected_namespaces=(),
        populate_by_name=False,
        hide_input_in_errors=True,  # a URL may hold a password, and --debug shows the traceback
    )

    @classmethod
    def known_keys(cls) -> list[str]:
        """Return the keys that may stand in it."""
        return list(cls.model_fields)

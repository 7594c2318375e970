"""What every record of a file format is made of: frozen, and strict about what it does not know."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field


def _check_text(text: str) -> str:
    """Refuse half a surrogate pair: JSON can spell it, but no UTF-8, and OpenCV crashes on it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError("expected text, found half a surrogate pair") from error
    return text


def storable(text: str) -> str:
    """Return a text that a record takes: `?` for what is no text, as in the name of a file."""
    return text.encode(errors="replace").decode()


Text = Annotated[str, AfterValidator(_check_text)]
Ratio = Annotated[float, Field(ge=0, le=1)]
PositiveInt = Annotated[int, Field(gt=0)]
PositiveFloat = Annotated[float, Field(gt=0)]


class Record(BaseModel):
    """A pydantic model that can't be changed, refuses unknown fields, and holds finite numbers."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False
    )

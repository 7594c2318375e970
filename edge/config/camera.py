"""The section `[camera]`: where frames come from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    AfterValidator,
    ModelWrapValidatorHandler,
    SerializeAsAny,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_serializer,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError

from edge.capture.options import SourceOptions
from edge.capture.registry import SOURCES, split_uri
from edge.config.section import Name, Section
from edge.errors import EdgeError

if TYPE_CHECKING:
    from typing_extensions import Self

OWN_KEYS = ("name", "source")


def _check_uri(uri: str) -> str:
    try:
        split_uri(uri)
    except EdgeError as error:
        raise ValueError(str(error)) from error
    return uri


class Camera(Section):
    """Where frames come from.

    Its keys are flat: what is neither `name` nor `source` is an option of that source.

    Attributes:
        name: A level of every topic.
        source: `demo:`, `file:PATH`, `images:FOLDER` or `v4l2:DEVICE`.
        options: What is asked of the source, in its row's model.
    """

    name: Name = "camera"
    source: Annotated[str, AfterValidator(_check_uri)] = "demo:"
    options: SerializeAsAny[SourceOptions] = SourceOptions()

    @model_validator(mode="wrap")
    @classmethod
    def _take_flat_keys(cls, fields: object, handler: ModelWrapValidatorHandler[Self]) -> Self:
        if not isinstance(fields, dict):
            return handler(fields)
        own = {key: fields[key] for key in OWN_KEYS if key in fields}
        options = {key: fields[key] for key in fields if key not in OWN_KEYS}
        try:
            return handler(own | {"options": options})
        except ValidationError as error:
            # A fault of an option is one of its key in the section.
            found = [
                _fault(each["type"], each["msg"], key=each["loc"][each["loc"][0] == "options" :])
                | {"input": each["input"]}
                for each in error.errors()
            ]
            raise ValidationError.from_exception_data(error.title, found) from error

    @field_validator("options", mode="before")
    @classmethod
    def _check_options(cls, options: dict[str, object], info: ValidationInfo) -> SourceOptions:
        # A source that was refused leaves its options to those that all have.
        scheme = info.data.get("source", "demo:").partition(":")[0]
        model = SOURCES[scheme].options
        text = f"{scheme}: has no such key; take it out, or choose another source"
        others = set(cls.known_keys()) - set(model.model_fields)
        if foreign := [_fault("value_error", text, key=(key,)) for key in options if key in others]:
            raise ValidationError.from_exception_data("options", foreign)
        return model.model_validate(options)

    @model_serializer
    def _flat(self) -> dict[str, Any]:
        options = self.options.model_dump(mode="json", exclude_none=True, exclude_unset=True)
        return {"name": self.name, "source": self.source} | options

    @classmethod
    def known_keys(cls) -> list[str]:
        """Return every key that some source has."""
        return list(dict.fromkeys([*OWN_KEYS, *_option_keys()]))


def _fault(kind: str, text: str, *, key: tuple[int | str, ...]) -> InitErrorDetails:
    error = PydanticCustomError(kind, "{text}", {"text": text})
    return InitErrorDetails(type=error, loc=key, input=None)


def _option_keys() -> list[str]:
    return [key for row in SOURCES.values() for key in row.options.model_fields]

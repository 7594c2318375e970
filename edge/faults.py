"""What is wrong with the fields of a record: all of it, each fault with its place."""

from __future__ import annotations

import difflib
import types
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import msgspec
from msgspec import Meta, Struct, structs

from edge.errors import shown
from edge.record import REFUSED, Unsound, to_path

if TYPE_CHECKING:
    from collections.abc import Iterator

Place = tuple[Any, ...]

UNITS = ("_s", "_ms", "_hz", "_px", "_ratio", "_mib", "_wh", "_messages")
WORDS = {
    int: "a whole number", float: "a number", str: "text", bool: "true or false", Path: "a path",
}  # fmt: skip
LIMITS = {"ge": "from {}", "gt": "greater than {}", "le": "up to {}", "lt": "below {}",
          "min_length": "at least {} long", "max_length": "at most {} long"}  # fmt: skip
MOST_SHOWN = 80  # characters of a value


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong.

    Attributes:
        place: Keys and numbers, from the outermost table to the value.
        text: What was expected, or what a check said; empty for a key that no table has.
        found: What stands there.
        known: The keys that would do; of an unknown one.
        is_missing: The key is not there.
        says_found: The value may be repeated; a check says itself what it found.
    """

    place: Place
    text: str = ""
    found: object = None
    known: tuple[str, ...] | None = None
    is_missing: bool = False
    says_found: bool = False

    def __str__(self) -> str:
        return f"{'.'.join(map(str, self.place))}: ".removeprefix(": ") + (
            "is needed and missing" if self.is_missing else self.said()
        )

    def within(self, *place: object) -> Fault:
        """Return the fault with another place."""
        return replace(self, place=place)

    def sentence(self, label: str) -> str:
        """Return it as ``[table] key: what was expected, found …``.

        Args:
            label: Stands for the first part of the place, in brackets.
        """
        if not self.place:
            return self.text
        key = ".".join(map(str, self.place[1:]))
        if self.is_missing:
            return f"{label} {key} is needed and missing" if key else f"{label} is missing"
        if self.known is not None:
            return f"{label} {self.said()}" if key else f"unknown {label}; {self._nearest()}"
        return f"{label}{' ' if key else ''}{key}: {self.said()}"

    def said(self) -> str:
        """Return it without its place."""
        if self.known is None:
            is_shown = self.says_found and "password" not in str(self.place[-1:])
            return self.text + (f", found {_short(self.found)}" if is_shown else "")
        key = self.place[-1]
        for unit in UNITS:
            if f"{key}{unit}" in self.known:
                # A number is no secret; of anything else nothing is repeated.
                found = self.found if isinstance(self.found, (int, float)) else "…"
                return f"'{key} = {found}' has no unit; write '{key}{unit} = {found}'"
        return f"unknown key {key!r}; {self._nearest()}"

    def _nearest(self) -> str:
        known, is_table = self.known or (), len(self.place) == 1
        guess = difflib.get_close_matches(str(self.place[-1]), known, n=1)
        if guess:
            return f"did you mean [{guess[0]}]?" if is_table else f"did you mean {guess[0]!r}?"
        return f"the {'tables' if is_table else 'keys'} are {', '.join(known)}"


def unsound(kind: Any, fields: object, *, strict: bool = True) -> Unsound:  # noqa: ANN401
    """Return what is wrong with the fields of a record, as an error."""
    return Unsound(list(_Search(strict=strict).faults(kind, fields, ())))


def unsound_json(kind: Any, data: bytes) -> Unsound:  # noqa: ANN401
    """Return what is wrong with the JSON of a record, as an error."""
    try:
        fields = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Unsound([Fault((), f"expected JSON: {error}")])
    return unsound(kind, fields)


@dataclass(frozen=True, slots=True)
class _Search:
    strict: bool

    def faults(self, kind: Any, value: object, place: Place) -> Iterator[Fault]:  # noqa: ANN401
        """Yield the faults of a value, compared with the type that it should have."""
        parts = _parts(kind)
        records = [part for part in parts if isinstance(part, type) and issubclass(part, Struct)]
        items = next((part for part in parts if get_origin(part) is tuple), None)
        if len(records) > 1 and not isinstance(value, tuple(records)):
            yield from self._tagged(records, value, place)
        elif records and isinstance(value, Mapping):
            yield from self._of_record(records[0], value, place)
        elif (fault := self._refused(kind, value)) is None:
            return
        elif (
            items and _is_record(get_args(items)[0]) and isinstance(value, (list, tuple)) and value
        ):
            for number, item in enumerate(value):
                yield from self.faults(get_args(items)[0], item, (*place, number))
        else:
            yield Fault(place, fault, value, says_found=True)

    def _refused(self, kind: Any, value: object) -> str | None:  # noqa: ANN401
        try:
            msgspec.convert(value, kind, strict=self.strict, dec_hook=to_path)
        except REFUSED:
            return f"expected {_expected(kind)}"
        return None

    def _tagged(self, records: list[Any], value: object, place: Place) -> Iterator[Fault]:
        """Yield the faults of one of several records, which a key tells apart."""
        key = records[0].__struct_config__.tag_field
        by_tag = {each.__struct_config__.tag: each for each in records}
        tag = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, Mapping) and isinstance(tag, str) and tag in by_tag:
            yield from self._of_record(by_tag[tag], value, place)
        elif isinstance(value, Mapping) and key not in value:
            yield Fault((*place, key), is_missing=True)
        elif isinstance(value, Mapping):
            text = f"expected one of {', '.join(by_tag)}, found {_short(tag)}; update edge-vision"
            yield Fault((*place, key), text, tag)
        else:
            yield Fault(place, "expected a table of keys", value, says_found=True)

    def _of_record(
        self, kind: type[Struct], fields: Mapping[Any, object], place: Place
    ) -> Iterator[Fault]:
        config = kind.__struct_config__
        known = {field.encode_name: field for field in structs.fields(kind)}
        keys = (*([config.tag_field] if config.tag_field else ()), *known)
        found = [
            Fault((*place, key), found=fields[key], known=keys)
            for key in fields
            if config.forbid_unknown_fields and key not in keys
        ]
        for key, field in known.items():
            if key in fields:
                wrong = list(self.faults(field.type, fields[key], (*place, key)))
                found += wrong or self._of_check(kind, field, fields[key], place=(*place, key))
            elif field.required:
                found.append(Fault((*place, key), is_missing=True))
        yield from found
        if not found:
            yield from self._of_whole(kind, fields, place)

    def _of_check(self, kind: Any, field: Any, value: object, *, place: Place) -> list[Fault]:  # noqa: ANN401
        check = getattr(kind, "checks", {}).get(field.name)
        if check:
            try:
                check(msgspec.convert(value, field.type, strict=self.strict, dec_hook=to_path))
            except ValueError as error:
                return [Fault(place, str(error), value)]
        return []

    def _of_whole(self, kind: type[Struct], fields: object, place: Place) -> Iterator[Fault]:
        """Yield what fields that are sound alone are refused for together."""
        try:
            msgspec.convert(fields, kind, strict=self.strict, dec_hook=to_path)
        except REFUSED as error:
            yield Fault(place, str(error.__cause__ or error), fields)


def _parts(kind: Any) -> list[Any]:  # noqa: ANN401
    """Return what a type is one of, without `None` and what is annotated."""
    if get_origin(kind) is Annotated:
        return _parts(get_args(kind)[0])
    if get_origin(kind) in (Union, types.UnionType):
        return [part for each in get_args(kind) for part in _parts(each)]
    return [] if kind is type(None) else [kind]


def _is_record(kind: Any) -> bool:  # noqa: ANN401
    return any(isinstance(part, type) and issubclass(part, Struct) for part in _parts(kind))


def _expected(kind: Any) -> str:  # noqa: ANN401
    """Return what a type takes, in words."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        meta = next(each for each in args if isinstance(each, Meta))
        return meta.description or " ".join([_expected(args[0]), *_limits(meta)])
    if origin in (Union, types.UnionType):
        return " or ".join(_expected(each) for each in args if each is not type(None))
    if origin is Literal:
        return " or ".join(map(repr, args))
    if origin is tuple and args[-1] is Ellipsis:
        return f"a list, each {_expected(args[0])}"
    if origin is tuple:
        return f"a list of {len(args)}, each {_expected(args[0])}"
    return WORDS.get(kind, "a table of keys")


def _limits(meta: Meta) -> list[str]:
    given = {name: getattr(meta, name) for name in LIMITS}
    return [LIMITS[name].format(limit) for name, limit in given.items() if limit is not None]


def _short(value: object) -> str:
    text = shown(repr(value))
    return text if len(text) <= MOST_SHOWN else text[:MOST_SHOWN] + "…"

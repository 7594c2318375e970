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
LIMITS = {"ge": "from {}", "gt": "greater than {}", "le": "up to {}", "lt": "below {}"}
LENGTHS = {"min_length": "at least {}", "max_length": "at most {}"}
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
        place = ".".join(map(str, self.place if self.known is None else self.place[:-1]))
        return f"{place}: {self._said()}" if place else self._said()

    def within(self, *place: object) -> Fault:
        """Return the fault with another place."""
        return replace(self, place=place)

    def sentence(self, label: str = "") -> str:
        """Return it as ``[table] key: what was expected, found …``.

        Args:
            label: Stands for the first part of the place; by default that in brackets.
        """
        if not self.place:
            return self.text
        label = label or f"[{self.place[0]}]"
        key = ".".join(map(str, self.place[1:]))
        if self.known is not None:
            return f"{label} {self._said()}" if key else f"unknown {label}; {self._nearest('[{}]')}"
        return f"{label}{' ' if key else ''}{key}{' ' if self.is_missing else ': '}{self._said()}"

    def _said(self) -> str:
        """Return it without its place."""
        if self.is_missing:
            return "is needed and missing"
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

    def _nearest(self, form: str = "'{}'") -> str:
        known = self.known or ()
        guess = difflib.get_close_matches(str(self.place[-1]), known, n=1)
        return (
            f"did you mean {form.format(guess[0])}?" if guess else f"known are {', '.join(known)}"
        )


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
        records = [part for part in parts if _is_record(part)]
        items = [get_args(part)[0] for part in parts if get_origin(part) is tuple]
        if records and isinstance(value, Mapping):
            yield from self._of_record(_chosen(records, value), value, place)
        elif self._refusal(kind, value) is None:
            return
        elif items and any(map(_is_record, _parts(items[0]))) and isinstance(value, list) and value:
            for number, item in enumerate(value):
                yield from self.faults(items[0], item, (*place, number))
        else:
            yield Fault(place, f"expected {_expected(kind)}", value, says_found=True)

    def _refusal(self, kind: Any, value: object) -> str | None:  # noqa: ANN401
        """Return why a value is none of a type; of a check, in its own words."""
        try:
            msgspec.convert(value, kind, strict=self.strict, dec_hook=to_path)
        except REFUSED as error:
            return str(error.__cause__ or error)
        return None

    def _of_record(
        self, kind: type[Struct] | Fault, fields: Mapping[Any, object], place: Place
    ) -> Iterator[Fault]:
        if isinstance(kind, Fault):
            yield kind.within(*place, *kind.place)
            return
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
        # What is sound alone may be refused together.
        if not found and (text := self._refusal(kind, fields)):
            found.append(Fault(place, text))
        yield from found

    def _of_check(self, kind: Any, field: Any, value: object, *, place: Place) -> list[Fault]:  # noqa: ANN401
        try:
            if check := getattr(kind, "checks", {}).get(field.name):
                check(msgspec.convert(value, field.type, strict=self.strict, dec_hook=to_path))
        except ValueError as error:
            return [Fault(place, str(error))]
        return []


def _chosen(records: list[type[Struct]], fields: Mapping[Any, object]) -> type[Struct] | Fault:
    """Return the record that a key of the fields tells from others, or what is wrong with it."""
    if len(records) == 1:
        return records[0]
    key = records[0].__struct_config__.tag_field
    by_tag = {str(each.__struct_config__.tag): each for each in records}
    if key not in fields:
        return Fault((key,), is_missing=True)
    known, tag = ", ".join(by_tag), fields[key]
    text = f"expected one of {known}, found {_short(tag)}; update edge-vision"
    return by_tag.get(str(tag), Fault((key,), text))


def _parts(kind: Any) -> list[Any]:  # noqa: ANN401
    """Return what a type is one of, without what is annotated."""
    if get_origin(kind) is Annotated:
        return _parts(get_args(kind)[0])
    is_union = get_origin(kind) in (Union, types.UnionType)
    return [part for each in get_args(kind) for part in _parts(each)] if is_union else [kind]


def _is_record(kind: Any) -> bool:  # noqa: ANN401
    return isinstance(kind, type) and issubclass(kind, Struct)


def _expected(kind: Any) -> str:  # noqa: ANN401
    """Return what a type takes, in words."""
    origin, args = get_origin(kind), get_args(kind)
    if origin is Annotated:
        meta = next(each for each in args if isinstance(each, Meta))
        if meta.description:
            return meta.description
        lengths = _worded(LENGTHS, meta)
        unit = "characters" if args[0] is str else "of them"
        what = f"{_expected(args[0])}, {' and '.join(lengths)} {unit}" if lengths else ""
        return " ".join([what or _expected(args[0]), *_worded(LIMITS, meta)])
    if origin in (Union, types.UnionType):
        words = (_expected(each) for each in args if each is not type(None))
        return " or ".join(dict.fromkeys(words))
    if origin is Literal:
        return " or ".join(map(repr, args))
    if origin in (tuple, list):
        number = f" of {len(args)}" if origin is tuple and args[-1] is not Ellipsis else ""
        return f"a list{number}, each {_expected(args[0])}"
    return WORDS.get(kind, "a table of keys")


def _worded(words: Mapping[str, str], meta: Meta) -> list[str]:
    limits = {name: getattr(meta, name) for name in words}
    return [words[name].format(limit) for name, limit in limits.items() if limit is not None]


def _short(value: object) -> str:
    text = shown(repr(value))
    return text if len(text) <= MOST_SHOWN else text[:MOST_SHOWN] + "…"

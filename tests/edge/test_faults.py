"""All that is wrong with a record is named at once, each fault with its place and what would do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, ClassVar, Literal

import msgspec
import pytest
from msgspec import Meta

from edge.record import Checks, PositiveFloat, Ratio, Record, Text, Unsound, read, read_json

pytestmark = pytest.mark.board


def _check_even(number: int) -> None:
    if number % 2:
        raise ValueError(f"expected an even number, found {number}")


class Leg(Record, frozen=True):
    length_px: Annotated[int, Meta(ge=1, le=9)]
    name: Text = "leg"


class Table(Record, frozen=True):
    checks: ClassVar[Checks] = {"seats": _check_even}

    seats: int = 4
    tilt: Ratio | None = None
    scale: PositiveFloat = 1.0
    wood: Literal["oak", "ash"] = "oak"
    plan: Path | None = None
    legs: tuple[Leg, ...] = ()
    side: Leg | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.legs) > self.seats:
            raise ValueError("more legs than seats")


def faults(fields: object) -> list[str]:
    with pytest.raises(Unsound) as caught:
        read(Table, fields)
    return [str(fault) for fault in caught.value.faults]


def test_a_sound_table_becomes_a_record_that_cannot_change():
    table = read(Table, {"seats": 2, "plan": "a/b", "legs": [{"length_px": 3}], "tilt": 1})

    assert (table.plan, table.legs, table.tilt) == (Path("a/b"), (Leg(3),), 1.0)
    assert read(Table, table.plain()) == table
    assert table.replace(seats=6).seats == 6
    with pytest.raises(AttributeError):
        table.seats = 3


@pytest.mark.parametrize(
    ("fields", "fault"),
    [
        pytest.param({"seats": "4"}, "seats: expected a whole number, found '4'", id="text"),
        pytest.param({"seats": True}, "seats: expected a whole number, found True", id="truth"),
        pytest.param({"seats": 3}, "seats: expected an even number, found 3", id="check"),
        pytest.param({"seats": 1e99}, "seats: expected a whole number, found 1e+99", id="float"),
        pytest.param(
            {"tilt": 1.5}, "tilt: expected a number from 0 up to 1, found 1.5", id="ratio"
        ),
        pytest.param(
            {"tilt": float("nan")}, "tilt: expected a number from 0 up to 1, found nan", id="nan"
        ),
        pytest.param(
            {"scale": float("inf")},
            "scale: expected a finite number greater than 0, found inf",
            id="inf",
        ),
        pytest.param({"wood": "elm"}, "wood: expected 'oak' or 'ash', found 'elm'", id="choice"),
        pytest.param(
            {"wood": "\ud800"}, r"wood: expected 'oak' or 'ash', found '\ud800'", id="half"
        ),
        pytest.param({"plan": 3}, "plan: expected a path, found 3", id="path"),
        pytest.param({"side": 3}, "side: expected a table of keys, found 3", id="no table"),
        pytest.param({"side": {}}, "side.length_px: is needed and missing", id="missing"),
        pytest.param(
            {"side": {"length_px": 1, "name": "\ud800"}},
            r"side.name: expected text, found '\ud800'",
            id="half in text",
        ),
        pytest.param(
            {"legs": [{"length_px": 1}, {"length_px": 10}]},
            "legs.1.length_px: expected a whole number from 1 up to 9, found 10",
            id="second of a list",
        ),
        pytest.param(
            {"legs": 3}, "legs: expected a list, each a table of keys, found 3", id="no list"
        ),
        pytest.param({"seat": 4}, "unknown key 'seat'; did you mean 'seats'?", id="near"),
        pytest.param(
            {"side": {"length": 4, "length_px": 4}},
            "side: 'length = 4' has no unit; write 'length_px = 4'",
            id="unit",
        ),
        pytest.param(
            {"legs": [{"length_px": 1}] * 5}, "more legs than seats", id="sound alone, not together"
        ),
        pytest.param([], "expected a table of keys, found []", id="a list"),
    ],
)
def test_a_fault_says_where_and_what_was_expected(fields, fault):
    (found,) = faults(fields)

    assert found.endswith(fault)


def test_all_faults_come_at_once():
    fields = {"seats": 3, "wood": 1, "x": 1, "legs": [{"length_px": 0}, {}], "side": {"name": 1}}

    assert len(faults(fields)) == 7


def test_a_password_is_not_repeated_nor_what_stands_before_an_at_sign():
    class Door(Record, frozen=True):
        password_file: int = 0
        url: int = 0

    with pytest.raises(Unsound) as caught:
        read(Door, {"password_file": "s3cret", "url": "x://me:s3cret@host"})

    assert "s3cret" not in str(caught.value)
    assert "host" in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[" * 200_000, b'{"seats": NaN}'])
def test_what_is_no_json_is_one_fault(data):
    with pytest.raises(Unsound, match="expected JSON"):
        read_json(Table, data)


def test_faults_of_json_are_those_of_its_fields():
    with pytest.raises(Unsound, match="seats: expected an even number"):
        read_json(Table, msgspec.json.encode({"seats": 5}))


def test_numerals_are_numbers_only_where_they_may_be():
    assert read(Table, {"seats": "4", "tilt": "0.5"}, strict=False) == Table(seats=4, tilt=0.5)
    with pytest.raises(Unsound, match="seats: expected a whole number, found 'x'"):
        read(Table, {"seats": "x"}, strict=False)

"""Files as Windows, phones and word processors save them."""

from __future__ import annotations

import pytest

from edge.config import toml
from edge.errors import ConfigError

pytestmark = pytest.mark.board

TEXT = '[device]\nname = "Garage"\n'
FIELDS = {"device": {"name": "Garage"}}


def saved(tmp_path, data):
    path = tmp_path / "door.toml"
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(TEXT.encode(), id="as it should be"),
        pytest.param(TEXT.encode("utf-8-sig"), id="byte order mark"),
        pytest.param(TEXT.replace("\n", "\r\n").encode(), id="lines of Windows"),
        pytest.param(TEXT.replace("\n", "\r\n").encode("utf-8-sig"), id="both"),
        pytest.param(b"\xff\xfe" + TEXT.encode("utf-16-le"), id="UTF-16, as PowerShell writes"),
        pytest.param(b"\xfe\xff" + TEXT.encode("utf-16-be"), id="UTF-16, big end first"),
    ],
)
def test_what_does_no_harm_is_read(tmp_path, data):
    assert toml.read(saved(tmp_path, data)) == FIELDS


@pytest.mark.parametrize(
    ("text", "line", "advice"),
    [
        pytest.param("x = 1\nname = “Garage”\n", 2, 'U+201C left double quotation mark: type "',
                     id="curly quotes"),
        pytest.param('x = 1\n\nname = "Garage”\n', 3, 'U+201D right double quotation mark: type "',
                     id="only the second is curly"),
        pytest.param("name = „Garage“\n", 1, "U+201E", id="German quotes"),
        pytest.param("name = \u2018Garage\u2019\n", 1, "U+2018 left single quotation mark: type '",
                     id="single quotes"),
        pytest.param('name\u00a0= "Garage"\n', 1, "U+00A0 no-break space: type a space",
                     id="no-break space before ="),
        pytest.param("[device]\n\u00a0\u00a0x = 1\n", 2, "U+00A0", id="indented with them"),
        pytest.param("x = 1\u200b\n", 1, "U+200B zero width space: delete it", id="unseen"),
        pytest.param("rate_hz = \u20131\n", 1, "U+2013 en dash: type -", id="dash"),
        pytest.param("x = 1\nname = “Garage”", 2, "U+201C", id="in the last line"),
        pytest.param("x = 1\r\nname = “Garage”\r\n", 2, "U+201C", id="in lines of Windows"),
    ],
)  # fmt: skip
def test_a_character_that_is_not_what_it_looks_like_is_named(tmp_path, text, line, advice):
    with pytest.raises(ConfigError) as caught:
        toml.read(saved(tmp_path, text.encode()))

    assert f"at line {line}, " in str(caught.value) or f"line {line}" in str(caught.value)
    assert advice in str(caught.value)


@pytest.mark.parametrize(
    ("data", "advice"),
    [
        pytest.param('x = 1\nname = "Tür"\n'.encode("cp1252"), "the byte 0xfc in line 2",
                     id="the code page of Windows"),
        pytest.param(TEXT.encode("utf-16-le"), "seems to be UTF-16", id="UTF-16 without its mark"),
        pytest.param(b"\xff\xfe" + TEXT.encode("utf-16-le")[:-1], "save the file as UTF-8",
                     id="UTF-16 cut short"),
    ],
)  # fmt: skip
def test_another_encoding_is_refused_with_the_place_and_the_cure(tmp_path, data, advice):
    with pytest.raises(ConfigError) as caught:
        toml.read(saved(tmp_path, data))

    assert advice in str(caught.value)
    assert "save the file as UTF-8" in str(caught.value)


def test_a_text_may_hold_any_letters_where_texts_belong(tmp_path):
    path = saved(tmp_path, 'label = "“Tür”\u00a0\u2013"\n'.encode())

    assert toml.read(path) == {"label": "“Tür”\u00a0\u2013"}


@pytest.mark.parametrize("name", ["gone.toml", "."])
def test_what_is_no_file_is_one_sentence(tmp_path, name):
    with pytest.raises(ConfigError, match=r"no such file|cannot be read"):
        toml.read(tmp_path / name)

from __future__ import annotations

import os

import pytest

from edge import password as passwords
from edge.errors import ConfigError
from edge.password import read_password

pytestmark = pytest.mark.board


@pytest.fixture
def password_file(tmp_path):
    path = tmp_path / "password"
    path.touch(mode=0o600)
    return path


@pytest.mark.parametrize(
    ("content", "password"),
    [
        (b"s3cret\n", "s3cret"),
        (b"s3cret", "s3cret"),
        (b"two words \r\nmore", "two words "),
        (b"\xef\xbb\xbfs3cret\r\n", "s3cret"),
        ("pässwörd\n".encode(), "pässwörd"),
    ],
    ids=["newline", "no newline", "spaces and more lines", "byte order mark", "UTF-8"],
)
def test_the_password_is_the_first_line(password_file, content, password):
    password_file.write_bytes(content)
    assert read_password(password_file) == password


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o777], ids=oct)
def test_a_file_that_others_can_read_is_refused_with_the_command_that_mends_it(password_file, mode):
    password_file.write_text("s3cret\n")
    password_file.chmod(mode)
    with pytest.raises(ConfigError, match=f"found {mode:04o}; type: chmod 600 ") as caught:
        read_password(password_file)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "found none"),
        (b"\n", "found none"),
        (b"\xef\xbb\xbf\n", "found none"),
        (b"x" * 65536, "longer"),
        ("s3cret\n".encode("utf-16"), "UTF-8"),
    ],
    ids=["empty", "empty line", "mark alone", "too long", "UTF-16"],
)
def test_what_is_no_password_is_refused(password_file, content, found):
    password_file.write_bytes(content)
    with pytest.raises(ConfigError, match=found):
        read_password(password_file)


def test_a_missing_password_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="nowhere: expected a password file, cannot read it"):
        read_password(tmp_path / "nowhere")


@pytest.mark.parametrize("content", [None, b"\n"], ids=["not there", "none was ever written"])
def test_a_secret_of_the_service_is_mended_where_it_lies(tmp_path, monkeypatch, content):
    """The unit sets an empty one where there is none, and what systemd shows cannot be written."""
    monkeypatch.setattr(passwords, "CREDENTIALS", tmp_path)
    if content is not None:
        (tmp_path / "mqtt").write_bytes(content)
        (tmp_path / "mqtt").chmod(0o600)

    with pytest.raises(ConfigError, match="install -m 600 FILE /etc/edge/secrets/mqtt"):
        read_password(tmp_path / "mqtt")


@pytest.mark.parametrize("folder", ["secrets", "credentials"])
@pytest.mark.parametrize(("mode", "opens"), [(0o444, True), (0o440, True), (0o664, False)])
def test_a_secret_that_the_system_laid_there_is_taken_unless_others_may_write_it(
    tmp_path, monkeypatch, *, folder, mode, opens
):
    (tmp_path / folder).mkdir()
    path = tmp_path / folder / "mqtt"
    path.write_text("s3cret\n")
    path.chmod(mode)
    monkeypatch.setattr(passwords, "SECRET_FOLDERS", (tmp_path / folder,))
    monkeypatch.setattr(passwords, "ROOT", os.getuid())
    if opens:
        assert read_password(path) == "s3cret"
    else:
        with pytest.raises(ConfigError, match="chmod 600"):
            read_password(path)


def test_a_secret_that_a_user_laid_there_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "mqtt"
    path.write_text("s3cret\n")
    path.chmod(0o444)
    monkeypatch.setattr(passwords, "SECRET_FOLDERS", (tmp_path,))
    monkeypatch.setattr(passwords, "ROOT", os.getuid() + 1)
    with pytest.raises(ConfigError, match="found 0444"):
        read_password(path)


def test_a_link_that_leads_out_of_the_secrets_is_no_secret(tmp_path, monkeypatch):
    (tmp_path / "secrets").mkdir()
    path = tmp_path / "password"
    path.write_text("s3cret\n")
    path.chmod(0o644)
    (tmp_path / "secrets" / "mqtt").symlink_to(path)
    monkeypatch.setattr(passwords, "SECRET_FOLDERS", (tmp_path / "secrets",))
    with pytest.raises(ConfigError, match="found 0644"):
        read_password(tmp_path / "secrets" / "mqtt")


@pytest.mark.parametrize(
    ("end", "name"), [(" ", "space"), ("\t", "tab"), ("\N{NO-BREAK SPACE}", "no-break space")]
)
def test_a_blank_at_the_end_counts_and_is_named(password_file, caplog, *, end, name):
    password_file.write_text(f"s3cret{end}\n", encoding="utf-8")
    assert read_password(password_file) == f"s3cret{end}"
    assert read_password(password_file)  # as for each try to open a camera
    assert f"the first line ends with a {name}, which counts" in caplog.text
    assert len(caplog.messages) == 1
    assert "s3cret" not in caplog.text

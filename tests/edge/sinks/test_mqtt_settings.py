"""The password file and the trusted certificates."""

from __future__ import annotations

import ssl

import pytest

from edge.errors import ConfigError
from edge.sinks.mqtt_settings import MqttSettings, read_password, tls_context

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
        ("pässwörd\n".encode(), "pässwörd"),
    ],
    ids=["newline", "no newline", "spaces and more lines", "UTF-8"],
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
    [(b"", "found none"), (b"\n", "found none"), (b"x" * 65536, "longer"), (b"\xff\n", "UTF-8")],
    ids=["empty", "empty line", "too long", "not text"],
)
def test_what_is_no_password_is_refused(password_file, content, found):
    password_file.write_bytes(content)
    with pytest.raises(ConfigError, match=found):
        read_password(password_file)


def test_a_missing_password_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match="nowhere: expected a password file, cannot read it"):
        read_password(tmp_path / "nowhere")


def test_certificates_are_verified_and_names_checked():
    context = tls_context(None)
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


def test_a_ca_file_that_is_missing_or_foreign_is_named(tmp_path):
    with pytest.raises(ConfigError, match="expected a file of certificates, cannot read it"):
        tls_context(tmp_path / "nowhere")
    (tmp_path / "ca.pem").write_text("not a certificate")
    with pytest.raises(ConfigError, match=r"ca.pem: expected certificates in PEM form"):
        tls_context(tmp_path / "ca.pem")


def test_the_settings_print_no_secret(password_file):
    password_file.write_text("s3cret\n")
    settings = MqttSettings("host", 1883, "edge-1", username="u", password_file=password_file)
    assert "s3cret" not in repr(settings)
    assert settings.address == "host:1883"

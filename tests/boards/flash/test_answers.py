"""What a person says of a board is looked at first, and its secrets leave hashed."""

from __future__ import annotations

import ctypes
import ctypes.util
import shutil
from pathlib import Path

import pytest

from boards.flash import answers
from edge.errors import ConfigError, DependencyError

pytestmark = pytest.mark.board

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI anna@desk"


@pytest.mark.parametrize(
    ("ssid", "password", "key"),
    [
        # IEEE 802.11-2020, annex J.4.2.
        ("IEEE", "password", "f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e"),
        (
            "ThisIsASSID",
            "ThisIsAPassword",
            "0dc0d6eb90555ed6419756b9a15ec3e3209b63df707dd508d14581f8982721af",
        ),
        ("any", "AB" * 32, "ab" * 32),
    ],
)
def test_a_wifi_password_becomes_the_key_of_the_standard(ssid, password, key):
    assert answers.wifi_key(ssid, password) == key


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param({"wifi": "a", "wifi_country": "UK"}, "two letters of ISO 3166", id="UK"),
        pytest.param({"wifi": "a", "wifi_country": "Germany"}, "ISO 3166", id="a name"),
        pytest.param({"wifi": "a"}, "together", id="no country"),
        pytest.param({"wifi_password": "password"}, "--wifi beside", id="no network"),
        pytest.param({"wifi": "a" * 33, "wifi_country": "DE"}, "found 33", id="long"),
        pytest.param(
            {"wifi": "a", "wifi_country": "DE", "wifi_password": "seven77"},
            "8 to 63 ASCII characters, found 7", id="short password",
        ),
        pytest.param(
            {"wifi": "a", "wifi_country": "DE", "wifi_password": "pässword1"},
            "not all ASCII", id="a password in no ASCII",
        ),
        pytest.param({"hostname": "-x"}, "--hostname: expected letters", id="hostname"),
        pytest.param({"hostname": "a;reboot"}, "--hostname", id="a shell's sign"),
        pytest.param({"user": "Anna", "ssh_key": Path("k")}, "--user: expected a small", id="user"),
        pytest.param({"user": "edge", "ssh_key": Path("k")}, "the system's", id="taken"),
        pytest.param({"user": "root", "ssh_key": Path("k")}, "the system's", id="root"),
        pytest.param({"user": "video", "ssh_key": Path("k")}, "the system's", id="a group"),
        pytest.param({"user": "anna"}, "--user-password-file, together", id="no key"),
        pytest.param({"user_password": "secret"}, "who may log in", id="no user"),
        pytest.param({"user": "anna", "user_password": ""}, "found 0 bytes", id="no password"),
        pytest.param(
            {"user": "anna", "user_password": "ä" * 128}, "1 to 255 bytes", id="a long password"
        ),
        pytest.param({"user": "anna", "user_password": "pässword1\t"}, "control", id="a tab"),
        pytest.param({"user": "anna", "ssh_key": Path("k")}, "cannot read it", id="no such key"),
        pytest.param({"timezone": "Berlin"}, "as Europe/Berlin, found 'Berlin'", id="time zone"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_sentence(given, said):
    with pytest.raises(ConfigError, match=said) as caught:
        answers.settings(**given)

    assert "pässword1" not in str(caught.value)


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl: sudo apt install openssl")
@pytest.mark.parametrize("password", ["correct horse", "pässwörd", "-6", "$x'\"\\"])
def test_a_users_password_leaves_as_a_hash_that_the_system_takes(password):
    crypt = ctypes.CDLL(ctypes.util.find_library("crypt") or "libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p

    first, second = (
        answers.settings(user="anna", user_password=password).password_hash for _ in range(2)
    )

    assert first != second
    assert crypt(password.encode(), first.encode()) == first.encode()
    assert crypt(b"another", first.encode()) != first.encode()


def test_without_openssl_it_says_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")

    with pytest.raises(DependencyError, match="sudo apt install openssl"):
        answers.settings(user="anna", user_password="password1")


def test_a_private_key_is_refused_and_not_shown(tmp_path):
    path = tmp_path / "id"
    path.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0\n")

    with pytest.raises(ConfigError, match="expected public SSH keys") as caught:
        answers.settings(user="anna", ssh_key=path)

    assert "c2VjcmV0" not in str(caught.value)


def test_every_card_is_another_instance(tmp_path):
    path = tmp_path / "id.pub"
    path.write_text(f"# mine\n{KEY}\n")

    first, second = (answers.settings(user="anna", ssh_key=path) for _ in range(2))

    assert first.ssh_keys == (KEY,)
    assert first.instance != second.instance


def test_the_countries_are_those_of_the_system():
    table = Path("/usr/share/zoneinfo/iso3166.tab")
    if not table.exists():
        pytest.skip("this system has no iso3166.tab; type: sudo apt install tzdata")
    rows = table.read_text(encoding="utf-8").splitlines()

    assert {row.split("\t")[0] for row in rows if row[0] != "#"} == answers.COUNTRIES

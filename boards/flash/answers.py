"""What a person says of a board's first boot, looked at before anything is written."""

from __future__ import annotations

import hashlib
import re
import subprocess
import uuid
import zoneinfo
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edge.errors import ConfigError, DependencyError

if TYPE_CHECKING:
    from pathlib import Path

# ISO 3166-1 alpha-2: two letters each.
ALL_COUNTRIES = (
    "ADAEAFAGAIALAMAOAQARASATAUAWAXAZBABBBDBEBFBGBHBIBJBLBMBNBOBQBRBSBTBVBWBYBZCACCCDCFCGCHCICKCL"
    "CMCNCOCRCUCVCWCXCYCZDEDJDKDMDODZECEEEGEHERESETFIFJFKFMFOFRGAGBGDGEGFGGGHGIGLGMGNGPGQGRGSGTGU"
    "GWGYHKHMHNHRHTHUIDIEILIMINIOIQIRISITJEJMJOJPKEKGKHKIKMKNKPKRKWKYKZLALBLCLILKLRLSLTLULVLYMAMC"
    "MDMEMFMGMHMKMLMMMNMOMPMQMRMSMTMUMVMWMXMYMZNANCNENFNGNINLNONPNRNUNZOMPAPEPFPGPHPKPLPMPNPRPSPT"
    "PWPYQARERORSRURWSASBSCSDSESGSHSISJSKSLSMSNSOSRSSSTSVSXSYSZTCTDTFTGTHTJTKTLTMTNTOTRTTTVTWTZUA"
    "UGUMUSUYUZVAVCVEVGVIVNVUWFWSYEYTZAZMZW"
)
COUNTRIES = {ALL_COUNTRIES[at : at + 2] for at in range(0, len(ALL_COUNTRIES), 2)}
HOSTNAME = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"  # RFC 1123, one label
USER = r"[a-z_][a-z0-9_-]{0,31}"  # useradd(8)
KEY = r"(ssh-(ed25519|rsa)|ecdsa-sha2-nistp\d+|sk-\S+) [A-Za-z0-9+/=]+( [^\x00-\x1f]*)?"
SSID = r"[^\x00-\x1f\x7f]+"
# openssl takes the first 256 bytes of a password; the last of its line may be the newline.
PASSWORD, MAX_PASSWORD_BYTES = r"[^\x00-\x1f\x7f]+", 255
MAX_SSID_BYTES = 32  # IEEE 802.11
# Users and groups of Debian's base-passwd, of systemd and of this project: useradd refuses them.
TAKEN = (
    r"_apt|adm|audio|avahi|backup|bin|cdrom|crontab|daemon|dialout|dip|disk|edge|fax|floppy|games|"
    r"gpio|i2c|input|irc|kmem|kvm|list|lp|mail|man|messagebus|netdev|news|nobody|nogroup|operator|"
    r"plugdev|polkitd|proxy|render|root|rtkit|s(asl|gx|hadow|pi|rc|sh|shd|taff|udo|ync|ys)|"
    r"systemd-\w+|tape|tss|tty|users|utmp|uucp|video|voice|www-data"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a board is told at its first boot; an empty text changes nothing.

    Attributes:
        hostname: Its name.
        user: Name of the first user.
        ssh_keys: Who may log in as that user, a line each; with none, SSH takes the password.
        password_hash: Of that user's password, as crypt(5) writes it; empty locks the password.
        wifi: Name of the network.
        wifi_key: 64 hexadecimal digits; empty for an open network.
        wifi_country: Two letters.
        timezone: As `Europe/Berlin`.
        instance: Is new for each card, so that cloud-init begins anew.
    """

    hostname: str = ""
    user: str = ""
    ssh_keys: tuple[str, ...] = ()
    password_hash: str = ""
    wifi: str = ""
    wifi_key: str = ""
    wifi_country: str = ""
    timezone: str = ""
    instance: str


def settings(  # noqa: PLR0913 - one for each option
    *,
    hostname: str = "",
    user: str = "",
    ssh_key: Path | None = None,
    user_password: str | None = None,
    wifi: str = "",
    wifi_country: str = "",
    wifi_password: str | None = None,
    timezone: str = "",
) -> Settings:
    """Return what a board is told, its secrets hashed.

    Args:
        hostname: The board's name.
        user: Its first user's name.
        ssh_key: Public keys, a line each, of who may log in as that user.
        user_password: That user's, for the board's own screen, and for SSH where there is no key.
        wifi: Name of the network.
        wifi_country: Where it is.
        wifi_password: `None` for an open network.
        timezone: Of the board.

    Raises:
        ConfigError: One of them can't be so.
        DependencyError: There is nothing to hash a password with.
    """
    country = wifi_country.upper()
    _like("--hostname", hostname, pattern=HOSTNAME, wanted="letters, digits and hyphens, up to 63")
    _like(
        "--user", user, pattern=USER,
        wanted="a small letter, then small letters, digits, - and _, up to 32",
    )  # fmt: skip
    _like("--wifi", wifi, pattern=SSID, wanted="a name without control characters")
    if len(wifi.encode()) > MAX_SSID_BYTES:
        raise ConfigError(f"--wifi: expected 1 to 32 bytes, found {len(wifi.encode())}")
    if re.fullmatch(TAKEN, user):
        raise ConfigError(f"--user {user}: expected a new user's name, that one is the system's")
    if bool(user) != (bool(ssh_key) or user_password is not None):
        raise ConfigError(
            "expected --user, and --ssh-key or --user-password-file, together: who may log in, and "
            "by which key or password"
        )
    if bool(wifi) != bool(country):
        raise ConfigError("expected --wifi and --wifi-country together, as --wifi-country DE")
    if wifi_password is not None and not wifi:
        raise ConfigError("expected --wifi beside its password: which network is it of")
    if country and country not in COUNTRIES:
        raise ConfigError(
            f"--wifi-country: expected two letters of ISO 3166, found {wifi_country!r}; "
            "as DE for Germany, GB for the United Kingdom, US for the United States"
        )
    zones = zoneinfo.available_timezones()
    if timezone and not (
        timezone in zones if zones else re.fullmatch(r"[\w+-]+(/[\w+-]+)*", timezone)
    ):
        raise ConfigError(f"--timezone: expected one as Europe/Berlin, found {timezone!r}")
    return Settings(
        hostname=hostname,
        user=user,
        ssh_keys=_keys(ssh_key) if ssh_key else (),
        password_hash=password_hash(user_password) if user_password is not None else "",
        wifi=wifi,
        wifi_key=wifi_key(wifi, wifi_password) if wifi and wifi_password is not None else "",
        wifi_country=country,
        timezone=timezone,
        instance=f"edge-{uuid.uuid4().hex[:12]}",
    )


def wifi_key(ssid: str, password: str) -> str:
    """Return the key of a network: 64 hexadecimal digits, which open no other network.

    Raises:
        ConfigError: The password can be none of a network.

    Source: IEEE 802.11-2020, annex J.4.1: PBKDF2 of the password, 4096 rounds, 256 bits.
    """
    if re.fullmatch(r"[0-9A-Fa-f]{64}", password):
        return password.lower()
    if not re.fullmatch(r"[\x20-\x7e]{8,63}", password):
        raise ConfigError(
            "expected a Wi-Fi password of 8 to 63 ASCII characters, "
            f"found {len(password)} characters{'' if password.isascii() else ', not all ASCII'}"
        )
    return hashlib.pbkdf2_hmac("sha1", password.encode(), ssid.encode(), 4096, 32).hex()


def password_hash(password: str) -> str:
    """Return a password as `/etc/shadow` has it: SHA-512, with a salt that is new each time.

    Raises:
        ConfigError: Nobody could type it, or not all of it would count.
        DependencyError: There is no openssl that hashes so.

    Source: crypt(5), sha512crypt; openssl-passwd(1).
    """
    size = len(password.encode())
    if not re.fullmatch(PASSWORD, password) or size > MAX_PASSWORD_BYTES:
        raise ConfigError(
            f"expected a user's password of 1 to {MAX_PASSWORD_BYTES} bytes without control "
            f"characters in the first line of --user-password-file, found {size} bytes"
        )
    command = ["openssl", "passwd", "-6", "-stdin"]
    try:
        done = subprocess.run(
            command, input=password.encode(), capture_output=True, check=False
        ).stdout.decode(errors="replace")
    except FileNotFoundError:
        done = ""
    if not (found := re.fullmatch(r"(\$6\$[\w./$]+)\n", done)):
        raise DependencyError(
            "a user's password is hashed by `openssl passwd -6`, of OpenSSL since 1.1.1: "
            "sudo apt install openssl, or brew install openssl"
        )
    return found[1]


def first_line(path: Path) -> str:
    """Return the first line of a file, without its end."""
    return text(path).split("\n")[0].rstrip("\r")


def text(path: Path) -> str:
    """Return what is in a file.

    Raises:
        ConfigError: It cannot be read, or is no text.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is no UTF-8"
        raise ConfigError(f"{path}: expected a file of text, cannot read it: {why}") from error


def _like(option: str, given: str, *, pattern: str, wanted: str) -> None:
    if given and not re.fullmatch(pattern, given):
        raise ConfigError(f"{option}: expected {wanted}, found {given!r}")


def _keys(path: Path) -> tuple[str, ...]:
    lines = [line.strip() for line in text(path).splitlines()]
    keys = tuple(line for line in lines if line and not line.startswith("#"))
    # What is no public key may be a private one, and is not shown.
    if not keys or not all(re.fullmatch(KEY, key) for key in keys):
        raise ConfigError(
            f"{path}: expected public SSH keys, a line each, as in id_ed25519.pub; "
            "make one with: ssh-keygen -t ed25519"
        )
    return keys

"""Whom a device trusts to be its broker: certificates."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

from edge.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

# X509_V_FLAG_NO_CHECK_TIME of OpenSSL.
NO_CHECK_TIME = 0x200000


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Return a context that verifies a server's certificate and its name.

    Raises:
        ConfigError: `ca_file` is missing or holds no certificate.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError as error:
        raise ConfigError(
            f"{ca_file}: expected certificates in PEM form, found none that is readable; "
            f"check with: openssl x509 -in {ca_file} -noout -subject"
        ) from error
    except OSError as error:
        raise ConfigError(
            f"{ca_file}: expected a file of certificates, cannot read it: {error.strerror}; "
            "give its path in ca_file"
        ) from error


def certificate_dates(place: tuple[str, int], ca_file: Path | None, *, timeout_s: float) -> str:
    """Return from when to when a broker's certificate holds; empty if it is not to be trusted.

    Nothing is said to the broker: it is called, its certificate verified in all but time, and left.
    """
    context = tls_context(ca_file)
    context.verify_flags |= ssl.VerifyFlags(NO_CHECK_TIME)
    try:
        with (
            socket.create_connection(place, timeout_s) as plain,
            context.wrap_socket(plain, server_hostname=place[0]) as encrypted,
        ):
            shown = encrypted.getpeercert() or {}
    except OSError:
        return ""
    return f"from {shown.get('notBefore')} to {shown.get('notAfter')}"

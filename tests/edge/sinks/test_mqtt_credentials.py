"""The trusted certificates."""

from __future__ import annotations

import ssl

import pytest

from edge.errors import ConfigError
from edge.sinks.mqtt_credentials import tls_context

pytestmark = pytest.mark.board


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

"""The layer for rpi-image-gen is as that tool's documents say; it was not built with it here.

Source: raspberrypi/rpi-image-gen, docs/layer/index.adoc and layer/base/linux-base.adoc.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import card_images
import pytest

import boards

pytestmark = pytest.mark.board

LAYER = Path(boards.__file__).parent / "rpi-image-gen/layer/edge-vision.yaml"
FIELDS = {"Name", "Category", "Desc", "Version", "RequiresProvider"}
SUFFIXES = {"", "-Desc", "-Required", "-Valid", "-Set"}


def header():
    """Return the fields of the layer's DEB822 block; a line that begins with a blank goes on."""
    block = re.fullmatch(r"# METABEGIN\n(.*)# METAEND\n---\n.*", LAYER.read_text(), re.DOTALL)[1]
    fields: dict[str, str] = {}
    for line in block.splitlines():
        text = line.removeprefix("#").removeprefix(" ")
        if line.startswith("#  "):
            fields[list(fields)[-1]] += text
        elif text:
            name, _, value = text.partition(":")
            fields[name] = value.strip()
    return fields


def test_its_header_has_the_documented_fields_only():
    fields = header()

    assert {name[12:] for name in fields if name.startswith("X-Env-Layer-")} == FIELDS
    assert re.fullmatch(r"\d+\.\d+\.\d+", fields["X-Env-Layer-Version"])
    assert fields["X-Env-VarPrefix"] == "edge"
    variables = [name.removeprefix("X-Env-Var-") for name in fields if "-Var-" in name]
    names = {name.partition("-")[0] for name in variables}
    assert names == {"bundle", "mqtt_password_file"}
    assert sorted(variables) == sorted(name + end for name in names for end in SUFFIXES)


def test_it_uses_the_variables_that_it_declares():
    used = set(re.findall(r"IGconf_(\w+)", LAYER.read_text().partition("METAEND")[2]))

    assert used == {"edge_bundle", "edge_mqtt_password_file"}


def test_its_command_line_is_one_fragment_of_one_line():
    fragment = LAYER.parent / "edge-vision.d/cmdline.d/50-memory-cgroup"

    assert fragment.read_text() == "cgroup_enable=memory cgroup_memory=1\n"


def test_its_hooks_put_a_bundle_into_a_root_file_system(tmp_path):
    yaml = pytest.importorskip("yaml")
    bundle, root = card_images.bundle(tmp_path / "bundle"), tmp_path / "root"
    (tmp_path / "mqtt").write_text("secret")
    root.mkdir()
    body = yaml.safe_load(LAYER.read_text())["mmdebstrap"]
    hooks = tmp_path / "hooks"
    hooks.mkdir()
    (hooks / "enable-units").write_text('#!/bin/sh\necho "$@" >>"$1/enabled"\n')
    (hooks / "enable-units").chmod(0o755)
    given = {
        "PATH": "/usr/bin:/bin", "BDEBSTRAP_HOOKS": str(hooks), "IGconf_edge_bundle": str(bundle),
        "IGconf_edge_mqtt_password_file": str(tmp_path / "mqtt"),
    }  # fmt: skip

    for hook in body["customize-hooks"]:
        subprocess.run([shutil.which("sh"), "-c", hook, "sh", str(root)], env=given, check=True)

    assert (root / "boot/firmware/edge/bundle.json").exists()
    assert (root / "etc/systemd/system/edge-firstboot.service").read_text() == "[Service]\n"
    secret = root / "etc/edge/secrets/mqtt"
    assert (secret.read_text(), secret.stat().st_mode & 0o777) == ("secret", 0o600)
    assert (root / "enabled").read_text() == f"{root} edge-firstboot\n"

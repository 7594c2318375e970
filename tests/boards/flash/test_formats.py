"""The first boot is written in the format that an image's boot partition shows."""

from __future__ import annotations

import dataclasses
import io
import json
import shutil
import subprocess
import sys

import card_images
import pytest

from boards.flash import answers, formats
from boards.flash.fat import Fat
from edge.errors import BoardError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = pytest.mark.board

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI anna@desk"
ALL = answers.Settings(
    hostname="door", user="anna", ssh_keys=(KEY,), wifi='Café "5 GHz"; \'$x', wifi_key="ab" * 32,
    wifi_country="DE", timezone="Europe/Berlin", instance="edge-1",
)  # fmt: skip


def detected(files):
    return formats.detect(Fat(io.BytesIO(card_images.fat16(files)), 0))


@pytest.mark.parametrize(
    ("files", "name", "python"),
    [
        pytest.param(card_images.SYSTEMD, "systemd", "3.11", id="Bookworm"),
        pytest.param(card_images.FIRST_TRIXIE, "systemd", "", id="the first Trixie"),
        pytest.param(card_images.CLOUDINIT_RPI, "cloudinit-rpi", "3.13", id="later Trixie"),
        pytest.param(card_images.CLOUDINIT, "cloudinit", "", id="Ubuntu, Debian"),
        pytest.param(card_images.PRESEED, "rpi-preseed", "", id="rpi-preseed"),
        pytest.param(
            card_images.COMMON | {"cmdline.txt": b"rpi_preseed.config=/x.toml"},
            "rpi-preseed", "", id="rpi-preseed by its word",
        ),
    ],
)  # fmt: skip
def test_the_format_is_told_by_the_files(files, name, python):
    system = detected(files)

    assert (system.format, system.python) == (name, python)


@pytest.mark.parametrize(
    ("files", "said"),
    [
        pytest.param(card_images.COMMON, "no user-data, rpi-preseed.toml", id="unknown"),
        pytest.param(
            card_images.COMMON | {"issue.txt": card_images.PI_GEN.format("2023-05-03").encode()},
            "2023-05-03, too old", id="Bullseye",
        ),
        pytest.param(
            card_images.CLOUDINIT_RPI | {"kernel7l.img": b"1"}, "found one of 32", id="32 bits"
        ),
    ],
)  # fmt: skip
def test_what_is_not_known_is_refused(files, said):
    with pytest.raises(BoardError, match=said):
        detected(files)


HASH = "$6$abcdefgh$" + "./Az09" * 14 + "xy"  # 86 characters, as SHA-512 has them
BY_PASSWORD = dataclasses.replace(ALL, ssh_keys=(), password_hash=HASH)
BY_BOTH = dataclasses.replace(ALL, password_hash=HASH)


def written(name, settings=ALL):
    files, words = formats.first_boot(formats.System(name, ""), settings)
    return {path: data.decode() for path, data in files.items()}, words


@pytest.mark.parametrize("name", ["cloudinit", "cloudinit-rpi"])
def test_cloud_init_reads_its_files(name):
    yaml = pytest.importorskip("yaml")
    files, words = written(name)

    told = yaml.safe_load(files["user-data"])
    assert files["user-data"].startswith("#cloud-config\n")
    assert told["user"]["name"] == "anna"
    assert told["user"]["ssh_authorized_keys"] == [KEY]
    assert (told["hostname"], told["timezone"], told["ssh_pwauth"]) == (
        "door",
        "Europe/Berlin",
        False,
    )
    assert told["bootcmd"] == [["sh", "-c", formats.WAIT_AND_BEGIN]]
    assert ("enable_ssh" in told) == (name == "cloudinit-rpi")
    wifi = yaml.safe_load(files["network-config"])["network"]["wifis"]["wlan0"]
    assert wifi["access-points"] == {'Café "5 GHz"; \'$x': {"password": "ab" * 32}}
    assert wifi["regulatory-domain"] == "DE"
    assert yaml.safe_load(files["meta-data"])["instance-id"] == "edge-1"
    assert "ds=nocloud;i=edge-1" in words


@pytest.mark.parametrize(
    ("settings", "by_password", "sudo"),
    [
        pytest.param(BY_PASSWORD, True, None, id="a password"),
        pytest.param(BY_BOTH, False, "ALL=(ALL) NOPASSWD:ALL", id="a password and keys"),
    ],
)
def test_a_password_is_the_users_and_ssh_takes_it_where_there_is_no_key(
    settings, by_password, sudo
):
    """On a keyboard it is taken either way; where a key opens, sudo asks for none, as before."""
    told = json.loads(written("cloudinit-rpi", settings)[0]["user-data"].partition("\n")[2])
    assert (told["user"]["passwd"], told["user"]["lock_passwd"]) == (HASH, False)
    assert (told["ssh_pwauth"], told["user"]["sudo"]) == (by_password, sudo)
    # Of no keys, cloud-init says that the list is too short.
    assert ("ssh_authorized_keys" in told["user"]) != by_password

    told = tomllib.loads(written("rpi-preseed", settings)[0]["rpi-preseed.toml"])
    assert (told["user"]["password"], told["user"]["password_encrypted"]) == (HASH, True)
    assert told["ssh"].get("password_authentication", False) == by_password
    assert told["user"].get("passwordless_sudo", False) != by_password

    script = written("systemd", settings)[0]["firstrun.sh"]
    assert f"userconf anna '{HASH}'" in script
    assert f"usermod -p '{HASH}' anna" in script
    assert f"PasswordAuthentication {'yes' if by_password else 'no'} >" in script
    assert ("NOPASSWD" in script, "authorized_keys" in script) == (not by_password,) * 2


@pytest.mark.parametrize("name", list(formats.FORMATS))
def test_without_a_password_it_is_locked(name):
    said = "".join(written(name)[0].values())

    assert "$6$" not in said
    assert any(word in said for word in ("userconf anna '!'", '"lock_passwd": true', "[ssh]"))


def test_a_board_on_a_cable_keeps_the_networks_of_its_image():
    files, words = written("cloudinit", answers.Settings(instance="edge-1"))

    assert set(files) == {"user-data", "meta-data"}
    told = json.loads(files["user-data"].partition("\n")[2])
    assert told == {"bootcmd": [["sh", "-c", formats.WAIT_AND_BEGIN]]}
    assert not any("regdom" in word for word in words)


@pytest.mark.parametrize("mounts", ["systemctl", "mount", "nobody"])
def test_a_first_boot_begins_once_the_boot_partition_is_mounted(tmp_path, mounts):
    """By systemd or by mount; where neither can, it says so and the boot goes on."""
    boot, tools = tmp_path / "boot", tmp_path / "tools"
    tools.mkdir()
    (tmp_path / "firstboot.sh").write_text("echo begun\n")
    for name in ("systemctl", "mount", "sleep"):
        does = f"mkdir -p {boot}/edge && cp {tmp_path}/firstboot.sh {boot}/edge/"
        (tools / name).write_text(
            f"#!/bin/sh\n{does if name == mounts else f'[ {name} = sleep ]'}\n"
        )
        (tools / name).chmod(0o755)

    ran = subprocess.run(
        ["/bin/sh", "-c", formats.WAIT_AND_BEGIN.replace("/boot/firmware", str(boot))],
        env={"PATH": f"{tools}:/usr/bin:/bin"}, capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert ("begun" in ran.stdout) == (mounts != "nobody")
    assert ("found none" in ran.stdout) == (mounts == "nobody")


def test_rpi_preseed_reads_its_file():
    files, _ = written("rpi-preseed")

    told = tomllib.loads(files["rpi-preseed.toml"])
    assert told["config_version"] == "1.0"
    assert told["wlan"]["ssid"] == ALL.wifi
    assert told["wlan"]["password"] == "ab" * 32
    assert told["ssh"] == {"enabled": True, "authorized_keys": [KEY]}
    assert told["runcmd"]["early"] == ["sh /boot/firmware/edge/firstboot.sh"]


def test_the_script_of_systemd_does_what_it_was_told_and_erases_itself(tmp_path):
    """Every path is below a folder, and other programs write down how they are called."""
    files, words = written("systemd")
    root, tools = tmp_path / "root", tmp_path / "tools"
    for folder in ("etc/sudoers.d", "boot/firmware", "home/anna", "usr/share/zoneinfo/Europe"):
        (root / folder).mkdir(parents=True)
    (root / "etc/hosts").write_text("127.0.0.1 localhost\n127.0.1.1 raspberrypi\n")
    line = formats.with_words(card_images.LINE.decode(), words)
    line = line.replace("/boot/firmware/", f"{root}/boot/firmware/")
    (root / "boot/firmware/cmdline.txt").write_text(line)
    tools.mkdir()
    called = tmp_path / "called"
    for name in (
        "useradd",
        "usermod",
        "chown",
        "systemctl",
        "raspi-config",
        "rfkill",
        "sync",
        "sh",
    ):
        (tools / name).write_text(f'#!/bin/bash\necho {name} "$@" >>{called}\n')
    (tools / "id").write_text("#!/bin/bash\nexit 1\n")
    (tools / "getent").write_text(
        f"#!/bin/bash\necho anna:x:1000:1000::{root}/home/anna:/bin/bash\n"
    )
    (tools / "install").write_text(
        '#!/bin/bash\nwhile [ "$1" = -o -o "$1" = -g ]; do shift 2; done\n'
        'for last; do :; done; case "$*" in *" -D "*|"-D "*) mkdir -p "${last%/*}"; : >"$last";;'
        ' *) mkdir -p "$last";; esac\n'
    )
    for tool in tools.iterdir():
        tool.chmod(0o755)
    script = files["firstrun.sh"]
    for folder in ("/etc/", "/boot/firmware/"):
        script = script.replace(folder, f"{root}{folder}")
    path = root / "boot/firmware/firstrun.sh"
    path.write_text(script)

    ran = subprocess.run(
        [shutil.which("bash"), path],
        env={"PATH": f"{tools}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    assert (root / "etc/hostname").read_text() == "door\n"
    assert (root / "etc/hosts").read_text() == "127.0.0.1 localhost\n127.0.1.1 door\n"
    assert (root / "home/anna/.ssh/authorized_keys").read_text() == KEY + "\n"
    assert (root / "home/anna/.ssh/authorized_keys").stat().st_mode & 0o777 == 0o600
    network = (root / "etc/NetworkManager/system-connections/edge.nmconnection").read_text()
    name = bytes(map(int, network.split("ssid=")[1].split("\n")[0].strip(";").split(";")))
    assert name.decode() == ALL.wifi
    assert f"psk={'ab' * 32}\n" in network
    calls = called.read_text()
    assert f"sh {root}/boot/firmware/edge/firstboot.sh enable" in calls
    assert "useradd -m -s /bin/bash -G video,sudo anna\nusermod -p ! anna\n" in calls
    assert (
        root / "etc/ssh/sshd_config.d/10-edge.conf"
    ).read_text() == "PasswordAuthentication no\n"
    assert not path.exists()
    kept = (root / "boot/firmware/cmdline.txt").read_text()
    assert "systemd." not in kept
    assert kept.startswith(card_images.LINE.decode().strip())


def test_words_of_the_kernel_stand_once_and_on_one_line():
    words = ("cgroup_enable=memory", "cgroup_memory=1", "ds=nocloud;i=new")
    line = "root=/dev/x cgroup_enable=cpuset cgroup_disable=memory ds=nocloud;i=old rootwait\n"

    once = formats.with_words(line, words)

    assert once == (
        "root=/dev/x cgroup_enable=cpuset rootwait cgroup_enable=memory cgroup_memory=1 "
        "ds=nocloud;i=new\n"
    )
    assert formats.with_words(once, words).split().count("cgroup_enable=memory") == 1

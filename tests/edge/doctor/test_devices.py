from __future__ import annotations

import os

import pytest

from edge.doctor import devices

pytestmark = pytest.mark.board

UNIT = "[Service]\nUser=edge\nSupplementaryGroups=video render\n"
TPU = {"idVendor": "1a6e\n", "idProduct": "089a\n", "speed": "5000\n"}


def groups(**members):
    numbers = {"video": os.getgid(), "edge": 64001, "render": 64002}
    rows = (f"{name}:x:{gid}:{members.get(name, '')}" for name, gid in numbers.items())
    return "\n".join(rows) + "\n"


def device(host, mode):
    node = host.root / "dev" / "video0"
    node.parent.mkdir(exist_ok=True)
    node.write_text("")
    node.chmod(mode)


@pytest.mark.parametrize(
    ("unit", "members", "mode", "state"),
    [
        pytest.param(UNIT, "", 0o660, "ok", id="by the unit"),
        pytest.param("[Service]\nUser=edge\n", "", 0o660, "wrong", id="by nothing"),
        pytest.param("[Service]\nUser=edge\n", "pi,edge", 0o660, "ok", id="by /etc/group"),
        pytest.param("[Service]\nUser=edge\n", "hedge", 0o660, "wrong", id="by a like name"),
        pytest.param(UNIT, "", 0o600, "wrong", id="not the group's"),
        pytest.param("[Service]\nUser=edge\n", "", 0o666, "ok", id="everybody's"),
        pytest.param("[Service]\nType=notify\n", "", 0o600, "ok", id="root"),
    ],
)
def test_the_service_s_user_has_to_be_in_the_device_s_group(system, unit, members, mode, state):
    host = system({"etc/systemd/system/edge.service": unit, "etc/group": groups(video=members)})
    device(host, mode)

    found = devices.permissions(host)

    assert found.state == state
    assert state == "ok" or "SupplementaryGroups=video" in found.mend


def test_without_devices_there_is_nothing_to_open(system):
    assert devices.permissions(system()).state == "not applicable"


def usb(**changes):
    return {f"sys/bus/usb/devices/2-1/{name}": text for name, text in (TPU | changes).items()}


def test_an_edge_tpu_is_found_before_its_program_and_after(system):
    assert devices.edge_tpu(system(usb())).state == "ok"
    assert devices.edge_tpu(system(usb(idVendor="18d1\n", idProduct="9302\n"))).state == "ok"
    assert devices.edge_tpu(system(usb(idVendor="046d\n"))).state == "not applicable"


def test_an_edge_tpu_behind_usb_2_is_slow(system):
    found = devices.edge_tpu(system(usb(speed="480\n")))

    assert (found.state, "USB 3" in found.mend) == ("warning", True)


@pytest.mark.parametrize("name", ["edgetpu", "hailo"])
def test_a_chip_that_the_configuration_needs_must_be_there(system, name):
    host = system(config={"model": {"delegate": name}})

    found = {"edgetpu": devices.edge_tpu, "hailo": devices.hailo}[name](host)

    assert (found.state, bool(found.mend)) == ("wrong", True)


def test_a_hailo_chip_needs_its_driver(system):
    chip = {"sys/bus/pci/devices/0000:01:00.0/vendor": "0x1e60\n"}
    assert devices.hailo(system(chip)).state == "warning"

    driver = {"sys/module/hailo_pci/version": "4.23.0\n", "dev/hailo0": ""}
    found = devices.hailo(system(chip | driver))
    assert (found.state, "4.23.0" in found.found) == ("ok", True)

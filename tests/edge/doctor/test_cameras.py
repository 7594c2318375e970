from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from edge.doctor import cameras

FAKE = Path(__file__).parents[2] / "support" / "fake_v4l2.c"

pytestmark = pytest.mark.board

DOOR = {"camera": {"name": "door", "source": "v4l2:0"}}
PI = {"camera": {"name": "door", "source": "picamera:"}}
SYSTEM_UNIT = "0::/system.slice/motion.service\n"
USER_UNIT = "0::/user.slice/user-1000.slice/user@1000.service/session.slice/wireplumber.service\n"


def holding(comm, cgroup, node="/dev/video0", pid=812):
    files = {f"proc/{pid}/comm": f"{comm}\n", f"proc/{pid}/cgroup": cgroup}
    return {"files": files, "links": {f"proc/{pid}/fd/7": node, f"proc/{pid}/fd/0": "/dev/null"}}


@pytest.mark.parametrize(
    ("cgroup", "mend"),
    [
        pytest.param(SYSTEM_UNIT, "sudo systemctl stop motion.service", id="a service"),
        pytest.param(USER_UNIT, "sudo kill 812", id="a desktop"),
        pytest.param("0::/\n", "sudo kill 812", id="a program"),
    ],
)
def test_who_holds_the_camera_is_named_with_what_ends_it(system, cgroup, mend):
    found = cameras.holders(system(**holding("motion", cgroup), config=DOOR))

    assert (found.state, found.mend) == ("warning", mend)
    assert "motion" in found.found
    assert "process 812" in found.found
    assert "/dev/video0" in found.found


def test_the_service_itself_may_have_the_camera(system):
    held = holding("python", "0::/system.slice/edge.service\n", node="/dev/media2")

    assert cameras.holders(system(**held, config=DOOR)).state == "ok"


def test_who_holds_a_camera_that_nobody_configured_is_no_fault(system):
    held = holding("motion", SYSTEM_UNIT)

    assert cameras.holders(system(**held, config={"camera": {"source": "demo:"}})).state == "ok"


def test_a_configured_camera_that_is_away_is_wrong(system):
    name = {"sys/class/video4linux/video2/name": "HD Webcam\n"}

    found = cameras.cameras(system(name, config=DOOR))
    assert found.state == "wrong"
    assert "no /dev/video0" in found.found
    assert "/dev/video2 HD Webcam" in found.found

    assert cameras.cameras(system({"dev/video0": ""}, config=DOOR)).state == "ok"


def test_a_pi_camera_needs_something_that_reads_it(system):
    host = system(config=PI)
    assert cameras.stack(host).state == "not applicable"  # of a folder nothing is known for sure

    found = cameras.stack(system(programs={"rpicam-vid": ""}, config=PI))
    assert (found.state, found.found) == ("ok", "rpicam-vid")


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_formats_are_asked_for_as_the_kernel_s_own_header_has_it(tmp_path):
    library = tmp_path / "fake_v4l2.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, FAKE, "-ldl"], check=True)
    code = "from edge.doctor.cameras import _formats as f; print(f('/dev/video9', set()), '|', "
    code += "f('/dev/video9', {'/dev/video9'}), '|', f('/dev/gone', ()))"

    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | {"LD_PRELOAD": str(library)},
        capture_output=True, text=True, check=True,
    )  # fmt: skip

    assert done.stdout == "YUYV NV12 GREY | in use | no such file or directory\n"

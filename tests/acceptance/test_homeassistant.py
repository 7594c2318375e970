"""A real Home Assistant beside the real product: every entity, every command, 25 restarts."""

import subprocess
import sys

import pytest
from conftest import home_assistant_folder

pytestmark = [pytest.mark.homeassistant, pytest.mark.broker, pytest.mark.slow]
# A network of its own: Home Assistant's port is free there, and it can call nobody.
ALONE = ("unshare", "--map-root-user", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh")
RESTARTS = 25


def test_home_assistant_knows_the_device_and_keeps_knowing_it(root):
    done = subprocess.run(
        [
            *ALONE,
            sys.executable,
            str(root / "scripts/homeassistant_test.py"),
            str(home_assistant_folder()),
            "--restarts",
            str(RESTARTS),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-4000:]
    assert f"{RESTARTS} restarts" in done.stdout
    assert " 0 failed" in done.stdout

"""Hold the role of boards/ansible to what it promises, on two booted Debians over SSH.

Run by scripts/ansible_test: ansible_test.py FOLDER, where FOLDER holds them and Ansible.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

import nspawn
from nspawn import check

ROOT = Path(__file__).resolve().parents[1]
ROLE = ROOT / "boards" / "ansible"
PORT = 18840
BOARDS = {"one": 2221, "two": 2222}
CONFIG = """
[device]
name = "{{ inventory_hostname }}"
[camera]
name = "north"
source = "SOURCE"
size_wh = [320, 240]
[model]
score_threshold = THRESHOLD
[mqtt]
url = "mqtt://127.0.0.1:PORT"
"""


class Fleet:
    """Two boards, and the machine that installs them.

    Args:
        cache: Of the script.
        folder: For keys, bundles and the inventory.
    """

    def __init__(self, cache: Path, folder: Path) -> None:
        self.folder = folder
        self._playbook = cache / "env/bin/ansible-playbook"
        self.boards: dict[str, nspawn.Debian] = {}

    def boot(self, name: str, leader: int) -> None:
        """Let a booted system in by SSH."""
        board = self.boards[name] = nspawn.Debian(leader)
        key = (self.folder / "key.pub").read_text()
        board.run("mkdir -p -m 700 /root/.ssh /run/sshd && ssh-keygen -A")
        board.write("/root/.ssh/authorized_keys", key)
        board.run(f"hostname {name}; /usr/sbin/sshd -p {BOARDS[name]} -o ListenAddress=127.0.0.1")

    def configure(self, *, source: str = "demo:", threshold: float = 0.5) -> None:
        """Write the template of the boards' configurations, and who they are."""
        words = {"SOURCE": source, "THRESHOLD": str(threshold), "PORT": str(PORT)}
        text = re.sub("|".join(words), lambda match: words[match[0]], CONFIG)
        (self.folder / "device.toml.j2").write_text(text)
        hosts = {
            name: {"ansible_host": "127.0.0.1", "ansible_port": port}
            for name, port in BOARDS.items()
        }
        common = {
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.folder / "key"),
            # Made anew at each run.
            "ansible_host_key_checking": False,
            "ansible_ssh_common_args": "-o UserKnownHostsFile=/dev/null",
            "ansible_become": False,
            "edge_config": str(self.folder / "device.toml.j2"),
        }
        inventory = {"all": {"vars": common, "hosts": hosts}}
        (self.folder / "inventory.json").write_text(json.dumps(inventory))

    def bundle(self, name: str, *options: str) -> Path:
        """Make a bundle with the command that people use; return it as one file."""
        words = ["bundle", "x86-64", "--python", "3.13", "--out", str(self.folder / name), "--tar"]
        subprocess.run([sys.executable, "-m", "boards", *words, *options], check=True, cwd=ROOT,
                       stdout=subprocess.DEVNULL)  # fmt: skip
        return self.folder / f"{name}.tar"

    def play(self, bundle: Path, *options: str) -> tuple[int, str, str]:
        """Run the playbook; return its status, what it said, and how long it took."""
        began_s = time.monotonic()
        command = [self._playbook, "-i", self.folder / "inventory.json", ROLE / "site.yml"]
        command += ["-e", f"edge_bundle={bundle}", "-e", '{"edge_batches": [1, 1]}', *options]
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=900,
            env=os.environ | {"ANSIBLE_NOCOLOR": "1", "ANSIBLE_PIPELINING": "1"},
        )  # fmt: skip
        took = f"{time.monotonic() - began_s:.0f} s"
        return done.returncode, done.stdout + done.stderr, took

    def check_all_publish(self) -> None:
        """Wait for a message of each board's camera."""
        for name in BOARDS:
            words = ["mosquitto_sub", "-p", str(PORT), "-C", "1", "-W", "60"]
            words += ["-t", f"edge/{name}/north/detections"]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            check(f"{name} publishes detections", holds=f'"device":"{name}"' in done.stdout)

    def releases(self) -> list[str]:
        """Return which release each board runs."""
        return [board.run("readlink /opt/edge/current") for board in self.boards.values()]


def recap(said: str, name: str) -> dict[str, int]:
    """Return the counts that Ansible gives for a board; empty where it never got to it."""
    line = re.search(rf"^{name}\s+: (.*)$", said, re.MULTILINE)
    return {key: int(value) for key, value in re.findall(r"(\w+)=(\d+)", line[1] if line else "")}


def hold(fleet: Fleet) -> None:
    """Install, install again, update badly, update well, and refuse what is not signed."""
    fleet.configure()
    bundle = fleet.bundle("first")
    status, said, took = fleet.play(bundle)
    check("both boards are installed", holds=status == 0, figure=took, said=said)
    fleet.check_all_publish()
    before = fleet.releases()
    said = fleet.boards["one"].run(
        "/usr/local/bin/edge doctor --json; /usr/local/bin/edge doctor", check=False
    )
    checks, _ = json.JSONDecoder().raw_decode(said)
    states = [each["state"] for each in checks["checks"]]
    figure = ", ".join(f"{states.count(state)} {state}" for state in sorted(set(states)))
    check("edge doctor finds nothing wrong", holds="wrong" not in states, figure=figure, said=said)

    status, said, took = fleet.play(bundle)
    changed = sum(recap(said, name)["changed"] for name in BOARDS)
    holds = (status, changed) == (0, 0)
    check("the same again changes nothing", holds=holds, figure=took, said=said)

    fleet.configure(source="v4l2:/dev/video7")
    status, said, took = fleet.play(bundle)
    check("a configuration that gives no frame fails", holds=status, figure=took, said=said)
    check("and says so", holds="no camera gave a frame" in said, said=said)
    holds = recap(said, "one").get("failed") == 1 and not recap(said, "two")
    check("at the first board; the second is not touched", holds=holds, said=said)
    check("both run what they ran", holds=before == fleet.releases())
    fleet.check_all_publish()

    fleet.configure(threshold=0.4)
    small = fleet.bundle("second", "--no-wheels")
    status, said, took = fleet.play(small)
    check("a small update reaches both", holds=status == 0, figure=took, said=said)
    after = fleet.releases()
    check("both run another release", holds=not set(before) & set(after), said=f"{before} {after}")
    fleet.check_all_publish()

    (fleet.folder / "signers").write_text(f"admin {(fleet.folder / 'key.pub').read_text()}")
    fleet.configure(threshold=0.3)
    status, said, took = fleet.play(small, "-e", f"edge_allowed_signers={fleet.folder}/signers")
    holds = status and "sign" in said and after == fleet.releases()
    check("with a key set, an unsigned bundle is refused", holds=holds, figure=took, said=said)
    signed = fleet.bundle("third", "--no-wheels", "--sign", str(fleet.folder / "key"))
    status, said, took = fleet.play(signed, "-e", f"edge_allowed_signers={fleet.folder}/signers")
    check("a signed one is taken", holds=status == 0, figure=took, said=said)
    check("and runs", holds=not set(after) & set(fleet.releases()))


def main() -> None:
    """Boot both, and hold them to it."""
    cache = Path(sys.argv[1])
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        folder = Path(place)
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / "key"], check=True
        )
        (folder / "mosquitto.conf").write_text(f"listener {PORT} 127.0.0.1\nallow_anonymous true\n")
        broker = subprocess.Popen(
            ["mosquitto", "-c", folder / "mosquitto.conf"], stderr=subprocess.DEVNULL
        )
        stack.callback(broker.wait)
        stack.callback(broker.terminate)
        fleet = Fleet(cache, folder)
        for name, system in zip(BOARDS, ("debian", "debian-2"), strict=True):
            fleet.boot(name, stack.enter_context(nspawn.booted(cache / system)))
        hold(fleet)


if __name__ == "__main__":
    main()

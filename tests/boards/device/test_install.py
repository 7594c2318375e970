"""A bundle becomes a release that runs; what cannot run is refused in a sentence."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from board_bundles import CONFIG, FULL, UNIT, UNIT_PATH, install_into, write_bundle

from boards.device import files, install, releases
from boards.device.bundle import parse
from boards.device.place import Place
from edge.errors import BoardError

pytestmark = pytest.mark.board

TREES = Path(__file__).parents[1] / "trees"


def current(root: Path) -> Path:
    return (root / "opt/edge/current").resolve()


def test_an_install_makes_release_environment_links_and_enables_the_unit(tmp_path, root, programs):
    install_into(root, write_bundle(tmp_path / "b", FULL))

    release = current(root)
    unit = root / "etc/systemd/system/edge.service"
    wanted = root / "etc/systemd/system/multi-user.target.wants/edge.service"
    assert (release / "device.toml").read_text() == CONFIG
    assert (release / "venv/bin/python").is_file()
    assert unit.is_symlink()
    assert unit.read_text() == wanted.read_text() == UNIT
    assert (root / "etc/edge/device.toml").resolve() == release / "device.toml"
    assert (root / "usr/local/bin/edge").resolve() == (release / "venv/bin/edge").resolve()


def test_the_same_bundle_again_changes_nothing_and_mends_what_was_taken_away(
    tmp_path, root, programs
):
    bundle = write_bundle(tmp_path / "b", FULL)
    install_into(root, bundle)
    (root / "etc/systemd/system/edge.service").unlink()
    asked = len(programs.asked)

    said = install_into(root, bundle)

    assert any("installed already" in line for line in said)
    assert len(programs.asked) == asked
    assert (root / "etc/systemd/system/edge.service").read_text() == UNIT


def test_an_environment_that_the_disk_did_not_take_is_not_used(
    tmp_path, root, programs, monkeypatch
):
    monkeypatch.setattr(files, "syncfs", lambda _: errno.EIO)

    with pytest.raises(BoardError, match="the card may be worn out"):
        install_into(root, write_bundle(tmp_path / "b", FULL))

    assert not list(root.glob("opt/edge/venvs/*/.complete"))
    assert not (root / "opt/edge/current").is_symlink()


def test_a_bundle_of_a_model_alone_keeps_environment_and_configuration(tmp_path, root, programs):
    install_into(root, write_bundle(tmp_path / "b", FULL))
    venv = (current(root) / "venv").resolve()

    install_into(root, write_bundle(tmp_path / "m", {"model/door.tflite": "TFL3"}))

    assert (current(root) / "venv").resolve() == venv
    text = (current(root) / "device.toml").read_text()
    assert text.startswith(CONFIG)
    assert 'file = "model/door.tflite"' in text
    assert (root / "etc/systemd/system/edge.service").read_text() == UNIT
    assert (root / "opt/edge/previous").resolve() != current(root)


def test_a_configuration_that_names_no_model_drops_the_one_before(tmp_path, root, programs):
    install_into(root, write_bundle(tmp_path / "b", {**FULL, "model/a.tflite": "TFL3"}))
    install_into(root, write_bundle(tmp_path / "c", {"device.toml": CONFIG + "# new\n"}))

    assert not (current(root) / "model").exists()


def test_a_link_of_a_file_that_is_not_brought_any_more_goes(tmp_path, root, programs):
    rule = "root/etc/udev/rules.d/60-edge.rules"
    install_into(root, write_bundle(tmp_path / "b", {**FULL, rule: "# rule"}))
    assert (root / "etc/udev/rules.d/60-edge.rules").is_symlink()

    install_into(root, write_bundle(tmp_path / "c", FULL))

    assert not (root / "etc/udev/rules.d/60-edge.rules").is_symlink()
    assert (root / "etc/systemd/system/edge.service").is_file()


def test_a_configuration_that_a_person_put_in_place_of_the_link_is_adopted(
    tmp_path, root, programs
):
    own = root / "etc/edge/device.toml"
    own.parent.mkdir(parents=True)
    own.write_text(CONFIG + "# mine\n")

    said = install_into(root, write_bundle(tmp_path / "b", FULL))

    assert (current(root) / "device.toml").read_text() == CONFIG + "# mine\n"
    assert own.is_symlink()
    assert any("/etc/edge/device.toml is a file of its own" in line for line in said)


def test_config_and_model_of_the_command_line_go_before_the_bundles(tmp_path, root, programs):
    (tmp_path / "mine.toml").write_text('[model]\nfile = "old.tflite" # mine\nthreads = 2\n')
    (tmp_path / "mine.tflite").write_text("TFL3")
    given = install.Given(config=tmp_path / "mine.toml", model=tmp_path / "mine.tflite")

    install_into(root, write_bundle(tmp_path / "b", FULL), given)

    text = (current(root) / "device.toml").read_text()
    assert text == '[model]\nfile = "model/mine.tflite"\nthreads = 2\n'
    assert (current(root) / "model/mine.tflite").read_text() == "TFL3"


def test_what_fails_its_self_test_changes_nothing(tmp_path, root, programs):
    install_into(root, write_bundle(tmp_path / "b", FULL))
    before = current(root)
    programs.answers["edge check"] = "edge: [camera] unknown key 'sorce'"

    with pytest.raises(BoardError, match=r"self-test, and nothing has changed: .*sorce"):
        install_into(root, write_bundle(tmp_path / "c", {"device.toml": "[camera]\nsorce = 1\n"}))

    assert current(root) == before
    assert [path.name for path in (root / "opt/edge/releases").iterdir()] == [before.name]


def test_the_self_test_reads_secrets_where_they_lie_while_no_unit_runs(
    tmp_path, root, programs, monkeypatch
):
    path = "/run/credentials/edge.service/mqtt"
    seen = []

    def run(*command, **more):
        if "check" in command:
            seen.append(Path(command[-1]).read_text())
        return programs(*command, **more)

    monkeypatch.setattr(install, "run", run)
    config = f'{CONFIG}[mqtt]\nurl = "mqtt://a"\npassword_file = "{path}"\n'
    install_into(root, write_bundle(tmp_path / "b", {**FULL, "device.toml": config}))

    assert f'password_file = "{root}/etc/edge/secrets/mqtt"' in seen[0]
    assert (current(root) / "device.toml").read_text() == config
    assert not (current(root) / "selftest.toml").exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        pytest.param({"python": ["2.7"]}, "wheels for Python 2.7, this system has", id="Python"),
        pytest.param({"machine": "armv7l"}, "for armv7l .*, this machine is", id="machine"),
        pytest.param({"profile": "pi4"}, "for pi4, this board is a pi5", id="another board"),
        pytest.param({"schema_version": 2}, "expected schema_version 1, found 2", id="newer"),
        pytest.param({"files": "x"}, "expected the list of a bundle", id="no list"),
        pytest.param(
            {"files": [{"path": "root/../../x", "bytes": 1, "sha256": "0" * 64}]},
            "'root/../../x' is not as a bundle has it", id="a path that leads out",
        ),
    ],
)  # fmt: skip
def test_a_bundle_for_something_else_is_refused(tmp_path, root, programs, changes, sentence):
    (root / "proc").symlink_to(TREES / "pi5/proc")

    with pytest.raises(BoardError, match=sentence):
        install_into(root, write_bundle(tmp_path / "b", FULL, **changes))

    assert not (root / "opt/edge/current").is_symlink()


@pytest.mark.parametrize("name", ["device.toml", UNIT_PATH, "wheels/numpy-2-py3-none-any.whl"])
def test_one_byte_changed_is_refused_before_anything_is_written(tmp_path, root, programs, name):
    bundle = write_bundle(tmp_path / "b", FULL)
    damaged = bytearray((bundle / name).read_bytes())
    damaged[-1] ^= 1
    (bundle / name).write_bytes(damaged)

    with pytest.raises(BoardError, match=f"{name}: expected the sha256"):
        install_into(root, bundle)

    assert programs.asked == []


def test_a_full_disk_is_said_and_what_was_half_written_is_taken_away(
    tmp_path, root, programs, monkeypatch
):
    install_into(root, write_bundle(tmp_path / "b", FULL))
    before = current(root)
    write = os.write
    monkeypatch.setattr(os, "write", lambda *a: write(*a) if len(a[1]) < 5000 else full())

    def full():
        raise OSError(28, "No space left on device", "model.tflite")

    with pytest.raises(BoardError, match="the disk is full; free some space"):
        install_into(root, write_bundle(tmp_path / "c", {"model/a.tflite": "T" * 6000}))

    assert current(root) == before
    assert [path.name for path in (root / "opt/edge/releases").iterdir()] == [before.name]


def test_too_little_room_is_said_before_it_begins(tmp_path, root, programs, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1 << 20}))

    with pytest.raises(BoardError, match="expected 32 MiB of room, found 1 MiB"):
        install_into(root, write_bundle(tmp_path / "b", FULL))


def test_two_at_once_are_one_and_a_sentence(tmp_path, root, programs):
    bundle = write_bundle(tmp_path / "b", FULL)

    with (
        files.locked(Place(root).lock),
        pytest.raises(BoardError, match="another install, update or first boot is at work"),
    ):
        install_into(root, bundle)


def test_uninstall_leaves_the_configuration_and_purge_leaves_nothing(tmp_path, root, programs):
    install_into(root, write_bundle(tmp_path / "b", FULL))

    said = []
    install.uninstall(Place(root, said.append))

    assert said[-1] == (
        "edge-vision is off this board; /etc/edge and /var/lib/edge-vision stay "
        "(--purge takes them too)"
    )
    left = [path for path in root.rglob("*") if path.is_file() or path.is_symlink()]
    names = {str(path.relative_to(root)) for path in left}
    assert names == {"etc/edge/device.toml", "var/lib/edge-install/lock"} | {
        name for name in names if name.endswith("update.json")
    }
    assert (root / "etc/edge/device.toml").read_text() == CONFIG
    install.uninstall(Place(root, said.append), purge=True)
    assert said[-1] == "found nothing to take off"
    assert [path for path in root.rglob("*") if path.is_file() or path.is_symlink()] == []


def test_a_reader_who_has_gone_stops_no_install(tmp_path, root, programs, monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    bundle = write_bundle(tmp_path / "b", FULL)
    with open(writing, "w") as gone:  # noqa: PTH123 - it has no name
        monkeypatch.setattr("sys.stdout", gone)
        install.install(Place(root), parse(bundle, (bundle / "bundle.json").read_bytes()))
        with pytest.raises(BrokenPipeError):
            gone.flush()
        os.dup2(os.open(os.devnull, os.O_WRONLY), writing)

    assert releases.running(Place(root).current)


def test_a_plan_changes_nothing(tmp_path, root, programs):
    place = Place(root, lambda _: None)
    bundle = write_bundle(tmp_path / "b", FULL)
    said = install.plan(place, parse(bundle, (bundle / "bundle.json").read_bytes()))

    assert "/etc/systemd/system/edge.service -> " in "\n".join(said)
    assert not (root / "opt").exists()
    assert releases.running(place.current) == ""


def test_it_runs_with_the_standard_library_alone(tmp_path):
    code = (
        "import sys; before = {*sys.modules}; import boards.device.cli; "
        "names = {name.partition('.')[0] for name in {*sys.modules} - before}; "
        "print(sorted(names - {*sys.stdlib_module_names} - {'boards', 'edge'}))"
    )
    root = Path(install.__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True, text=True, check=True, cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(root)},
    )  # fmt: skip

    assert done.stdout.strip() == "[]"

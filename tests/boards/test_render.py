"""What is rendered is as the golden files have it; systemd and `edge check` accept it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from boards import profile as profiles
from boards.carried import carry
from boards.cli import main
from boards.render import PLACES, render
from edge.cli import main as edge
from edge.config import reading
from edge.errors import ConfigError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

pytestmark = pytest.mark.board

# Written anew by: edge-board render pi5 --out tests/boards/golden/pi5; of the others edge.service
GOLDEN = Path(__file__).parent / "golden"
SUPPORTED = [profile for profile in profiles.load_all() if not profile.unsupported]
# systemd-analyze security's, in tenths.
MOST_EXPOSURE = 16

systemd = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="needs systemd-analyze, which systemd brings"
)


def rendered(profile, folder, *arguments):
    out = folder / profile.name
    assert main(["render", profile.name, "--out", str(out), *map(str, arguments)]) == 0
    return out


def texts(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_what_is_rendered_is_what_the_golden_files_say(tmp_path):
    assert texts(rendered(profiles.load("pi5"), tmp_path)) == texts(GOLDEN / "pi5")


@pytest.mark.parametrize("name", ["orin-nano", "x86-64"])
def test_other_units_are_what_their_golden_files_say(tmp_path, name):
    unit = "root/etc/systemd/system/edge.service"

    assert (rendered(profiles.load(name), tmp_path) / unit).read_text() == (
        GOLDEN / f"{name}.service"
    ).read_text()


def test_a_first_boot_that_fails_is_tried_less_and_less_often(tmp_path):
    """Each try writes half a gigabyte to the card; `sleep` ends the unit at the tenth here."""
    unit = (GOLDEN / "pi5/root/etc/systemd/system/edge-firstboot.service").read_text()
    script = re.search("^ExecStart=/bin/sh -c '(.*)'$", unit, re.MULTILINE)[1].replace("$$", "$")
    tools, slept = tmp_path / "tools", tmp_path / "slept"
    tools.mkdir()
    for name, text in {
        "timeout": "exit 1",
        "sleep": f"echo $1 >>{slept}; [ $(wc -l <{slept}) -lt 10 ] || kill $PPID",
    }.items():
        (tools / name).write_text(f"#!/bin/sh\n{text}\n")
        (tools / name).chmod(0o755)

    subprocess.run(
        ["/bin/sh", "-c", script], env={"PATH": f"{tools}:/usr/bin:/bin"}, check=False, timeout=60
    )

    waited = [int(line) for line in slept.read_text().split()]
    assert waited == [30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]


@pytest.mark.parametrize("profile", SUPPORTED, ids=lambda profile: profile.name)
def test_no_place_of_a_template_is_left_open(profile):
    for place, content in render(profile, carry(profile, None, None)).items():
        assert not re.search(rb"@\w+@", content), place


@pytest.mark.parametrize("profile", SUPPORTED, ids=lambda profile: profile.name)
def test_the_default_configuration_is_sound(tmp_path, profile):
    config = reading.load(rendered(profile, tmp_path) / "device.toml", {})

    assert config.cameras[0].source == profile.camera
    assert config.model.threads == profile.threads


def test_edge_check_accepts_the_default_configuration(tmp_path, capsys):
    out = rendered(profiles.load("x86-64"), tmp_path)

    assert edge(["check", str(out / "device.toml")]) == 0
    assert "no faults" in capsys.readouterr().out


@systemd
@pytest.mark.parametrize("profile", SUPPORTED, ids=lambda profile: profile.name)
def test_systemd_has_nothing_to_say_of_the_units(tmp_path, profile):
    units = rendered(profile, tmp_path) / "root/etc/systemd/system"
    for unit in units.iterdir():
        # Programs of the board that are not on this machine.
        text = re.sub(
            r"^(ExecStart=)(/opt|/usr/local)/\S+",
            r"\1/bin/true",
            unit.read_text(),
            flags=re.MULTILINE,
        )
        unit.write_text(text)

    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units.iterdir()],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.stderr == ""
    assert done.returncode == 0


@systemd
@pytest.mark.parametrize("profile", SUPPORTED, ids=lambda profile: profile.name)
def test_the_service_is_not_exposed_more_than_it_must_be(tmp_path, profile):
    unit = rendered(profile, tmp_path) / "root/etc/systemd/system/edge.service"

    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", f"--threshold={MOST_EXPOSURE}", unit],
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout[-200:]


def test_a_card_keeps_its_log_in_memory_and_a_disk_as_it_did(tmp_path):
    journal = f"root/{PLACES['journald.conf']}"

    assert (rendered(profiles.load("zero2w"), tmp_path) / journal).exists()
    assert not (rendered(profiles.load("x86-64"), tmp_path) / journal).exists()


def test_a_board_on_which_nothing_runs_is_refused_with_the_reason(tmp_path, capsys):
    assert main(["render", "jetson-nano", "--out", str(tmp_path / "out")]) == 2

    assert "JetPack 4 ends at Python 3.6" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_left_alone(tmp_path, capsys):
    (tmp_path / "pi5").mkdir()
    (tmp_path / "pi5/mine").write_text("mine")

    assert main(["render", "pi5", "--out", str(tmp_path / "pi5")]) == 2

    assert "expected a new or empty folder" in capsys.readouterr().err
    assert [path.name for path in (tmp_path / "pi5").iterdir()] == ["mine"]


def test_a_secret_that_the_configuration_names_is_handed_over(tmp_path):
    config = tmp_path / "door.toml"
    config.write_text(
        '[web]\ntoken_file = "/run/credentials/edge.service/page"\n[camera]\nsource = "demo:"\n'
    )

    unit = rendered(profiles.load("pi4"), tmp_path, "--config", config)

    lines = (unit / "root/etc/systemd/system/edge.service").read_text().splitlines()
    assert [line for line in lines if line.startswith("LoadCredential=")] == [
        "LoadCredential=mqtt:/etc/edge/secrets/mqtt", "LoadCredential=page:/etc/edge/secrets/page",
    ]  # fmt: skip


MODEL = b"not looked at here"


def carried(tmp_path, text, **named):
    config = tmp_path / "door.toml"
    config.write_text(text, encoding="utf-8")
    for name in ("door.tflite", "door.toml.txt", "ca.crt"):
        (tmp_path / name).write_bytes(MODEL)
    return carry(profiles.load("pi5"), config, named.get("model"))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        pytest.param(
            '# a door\n[model]  # mine\nthreads = 2\nfile = "door.tflite"  # it\n[web]\nport = 1\n',
            '# a door\n[model]  # mine\nthreads = 2\nfile = "model/door.tflite"\n[web]\nport = 1\n',
            id="a line in its table",
        ),
        pytest.param(
            '[mqtt]\nurl = "mqtts://b"\nca_file = "ca.crt"\n',
            '[mqtt]\nurl = "mqtts://b"\nca_file = "/etc/edge/ca.crt"\n',
            id="a certificate",
        ),
        pytest.param(
            '[mqtt]\nurl = "mqtts://b"\nca_file = "/etc/ssl/certs/ca-certificates.crt"\n',
            '[mqtt]\nurl = "mqtts://b"\nca_file = "/etc/ssl/certs/ca-certificates.crt"\n',
            id="a certificate that the board has",
        ),
    ],
)  # fmt: skip
def test_the_text_stays_but_for_the_paths_of_what_is_carried(tmp_path, text, wanted):
    assert carried(tmp_path, text).text == wanted


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="no table"),
        pytest.param("[model]\n", id="an empty table"),
        pytest.param('[model]\nfile = "other.tflite"\n[output]\nstats_s = 1\n', id="another model"),
    ],
)
def test_another_model_takes_the_place_of_the_configuration_s(tmp_path, text):
    found = carried(tmp_path, text, model=tmp_path / "door.tflite")

    assert 'file = "model/door.tflite"' in found.text
    assert found.files == {"model/door.tflite": tmp_path / "door.tflite"}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        pytest.param(
            '[mqtt]\nurl = "mqtt://me@b"\npassword_file = "password"\n',
            r"a secret does not travel in a bundle; write password_file = "
            r'"/run/credentials/edge.service/NAME", and put it to /etc/edge/secrets/NAME',
            id="a secret",
        ),
        pytest.param(
            '[[sink]]\nkind = "jsonl"\npath = "seen.jsonl"\n',
            r"the service may write below /var/lib/edge-vision/ and /run/edge/ only",
            id="a file that the sandbox refuses",
        ),
        pytest.param('[camera]\nsource = "file:a.mp4"\n', "is a file here", id="a clip"),
        pytest.param('[model]\nfile = "gone.tflite"\n', "expected a file, found none", id="gone"),
        pytest.param('[model]\nflie = "a"\n', "did you mean 'file'", id="a fault of its own"),
        pytest.param('model = {file = "door.tflite"}\n', "expected a plain table", id="inline"),
        pytest.param(
            '[model]\ndelegate = "cuda"\n',
            "Raspberry Pi 5 has hailo, edgetpu, imx500, cpu; choose one of those",
            id="an accelerator that the board has not",
        ),
        pytest.param("[model\n", "expected TOML", id="no TOML"),
    ],
)
def test_what_will_not_work_on_the_board_is_refused_here(tmp_path, text, sentence):
    with pytest.raises(ConfigError, match=sentence):
        carried(tmp_path, text)


def test_a_name_that_toml_must_quote_arrives_as_it_is(tmp_path):
    model = tmp_path / 'my "door" ü.tflite'
    model.write_bytes(MODEL)
    found = carry(profiles.load("pi5"), None, model)

    assert reading.parse(tomllib.loads(found.text)).model.file.name == model.name


def test_a_name_that_is_no_text_is_refused(tmp_path):
    model = tmp_path / "door\udcff.tflite"
    model.write_bytes(MODEL)

    with pytest.raises(ConfigError, match="is no text; give it another name"):
        carry(profiles.load("pi5"), None, model)


def test_a_description_that_is_another_model_s_is_refused(tmp_path):
    text = '[model]\nfile = "door.tflite"\ndescription = "door.toml.txt"\n'

    assert set(carried(tmp_path, text).files) == {"model/door.tflite", "model/door.toml.txt"}
    with pytest.raises(ConfigError, match="describes another model than --model"):
        carried(tmp_path, text, model=tmp_path / "ca.crt")

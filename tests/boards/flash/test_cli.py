"""`edge-board flash`: says all before it writes, writes with --yes, one sentence for a mistake."""

from __future__ import annotations

import io
import lzma
import platform
import shutil
import sys
from types import SimpleNamespace

import board_bundles
import card_images
import pytest

from boards.cli import main
from boards.device.firstboot import firstboot
from boards.device.place import Place
from boards.flash.fat import Fat
from boards.flash.target import Target

pytestmark = pytest.mark.board


@pytest.fixture
def desk(tmp_path):
    """Return a folder with an image, a bundle, a key and passwords."""
    card_images.bundle(tmp_path / "bundle", python=("3.13", "3.11"))
    (tmp_path / "os.img.xz").write_bytes(lzma.compress(card_images.card(card_images.CLOUDINIT_RPI)))
    (tmp_path / "id.pub").write_text("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI anna@desk\n")
    (tmp_path / "wifi").write_text("correct horse\n")
    (tmp_path / "mqtt").write_text("battery staple\n")
    (tmp_path / "anna").write_text("Tr0ub4dor&3\n")
    return tmp_path


def flash(desk, *more, image="os.img.xz", profile="pi5", bundle="bundle"):
    given = ["--bundle", str(desk / bundle)] if bundle else []
    return main([
        "flash", "--profile", profile, "--image", str(desk / image), "--to", str(desk / "card.img"),
        *given, *more,
    ])  # fmt: skip


def boot(desk):
    data = (desk / "card.img").read_bytes()
    return Fat(io.BytesIO(data), card_images.START)


def test_without_yes_it_says_what_would_be_written_and_writes_nothing(desk, capsys):
    assert flash(desk) == 0

    shown = capsys.readouterr().out
    assert "Raspberry Pi OS of 2026-04-13, whose first boot is by cloudinit-rpi" in shown
    assert "edge/wheels/edge_vision-0.1.0-py3-none-any.whl" in shown
    assert "5,000 bytes" in shown
    assert "nothing was written" in shown
    assert not (desk / "card.img").exists()


def test_a_card_with_signers_is_given_no_unsigned_bundle(desk, capsys):
    assert flash(desk, "--allowed-signers", str(desk / "id.pub"), "--yes") == 1

    assert "expected a signed bundle" in capsys.readouterr().err
    assert not (desk / "card.img").exists()


def test_a_card_with_signers_has_no_bundle_made_that_it_would_refuse(desk, capsys, monkeypatch):
    monkeypatch.setattr("boards.flash.cli.make", lambda *_: pytest.fail("a bundle was made"))

    assert flash(desk, "--allowed-signers", str(desk / "id.pub"), bundle=None) == 2

    assert "edge-board bundle pi5 --sign KEY" in capsys.readouterr().err


@pytest.mark.skipif(not shutil.which("ssh-keygen"), reason="needs ssh-keygen: openssh-client")
def test_with_yes_the_card_holds_the_bundle_and_the_first_boot(desk, capsys):
    card_images.sign(desk / "bundle", desk)
    given = ["--hostname", "door", "--user", "anna", "--ssh-key", str(desk / "id.pub"),
             "--wifi", "Home", "--wifi-country", "de", "--wifi-password-file", str(desk / "wifi"),
             "--mqtt-password-file", str(desk / "mqtt"),
             "--user-password-file", str(desk / "anna"),
             "--allowed-signers", str(desk / "fleet.signers"), "--yes"]  # fmt: skip
    assert flash(desk, *given) == 0

    assert "all of it was read back" in capsys.readouterr().out
    fat = boot(desk)
    for path in (desk / "bundle").rglob("*"):
        if path.is_file():
            name = f"edge/{path.relative_to(desk / 'bundle')}"
            assert fat.read(name) == path.read_bytes()
    assert b"systemctl enable edge-firstboot.service" in fat.read("edge/firstboot.sh")
    assert fat.read("edge/secrets/mqtt") == b"battery staple"
    assert fat.read("edge/allowed_signers") == (desk / "fleet.signers").read_bytes()
    assert b"cgroup_enable=memory" in fat.read("cmdline.txt")
    assert b'"passwd": "$6$' in fat.read("user-data")
    whole = (desk / "card.img").read_bytes()
    assert b"correct horse" not in whole
    assert b"Tr0ub4dor&3" not in whole


def test_the_first_boot_finds_on_the_card_what_flash_has_written(desk, monkeypatch):
    """The board's half of it installs from the files of the boot partition, in a folder for `/`."""
    board_bundles.stand_in(monkeypatch)
    own = f"3.{sys.version_info.minor}"
    card_images.bundle(
        desk / "own", python=("3.13", own), machine=platform.machine(),
        more={"wheels/numpy-2-py3-none-any.whl": b"n"},
    )  # fmt: skip
    given = ["--mqtt-password-file", str(desk / "mqtt"), "--yes"]
    assert flash(desk, *given, bundle="own") == 0
    fat, mounted, root = boot(desk), desk / "mounted", desk / "root"
    for path in tree(fat, "edge"):
        (mounted / path).parent.mkdir(parents=True, exist_ok=True)
        (mounted / path).write_bytes(fat.read(path))
    root.mkdir()

    firstboot(Place(root, lambda _: None), mounted / "edge")

    assert (root / "etc/edge/secrets/mqtt").read_text() == "battery staple"
    assert not (mounted / "edge/secrets").exists()
    assert (root / "opt/edge/current/device.toml").read_bytes() == b"[model]\n"
    assert "the first boot is over" in (mounted / "edge-firstboot.txt").read_text()


def tree(fat, folder):
    """Yield the paths of a folder's files, those below it too."""
    for name in fat.names(folder):
        path = f"{folder}/{name}"
        below = list(tree(fat, path))
        yield from below or [path]


def test_a_bundle_is_made_for_the_python_of_the_image(desk, monkeypatch):
    asked = []

    def make(profile, wanted):
        asked.append((profile.name, wanted.pythons, wanted.config))
        card_images.bundle(wanted.out, python=wanted.pythons)
        return SimpleNamespace(out=wanted.out)

    monkeypatch.setattr("boards.flash.cli.make", make)
    for files in (card_images.SYSTEMD, card_images.FIRST_TRIXIE):
        (desk / "os.img").write_bytes(card_images.card(files))
        given = ["--config", str(desk / "device.toml"), "--yes"]
        assert flash(desk, *given, image="os.img", bundle=None) == 0
        assert "edge/install.sh" in boot(desk)

    # Which Python the first Trixie has isn't told by its boot partition.
    config = desk / "device.toml"
    assert asked == [("pi5", ("3.11",), config), ("pi5", ("3.13", "3.11"), config)]


@pytest.mark.parametrize(
    ("files", "given", "said"),
    [
        pytest.param(
            card_images.SYSTEMD,
            {"bundle": "for-3.13"},
            "expected wheels for Python 3.11, as Raspberry Pi OS of 2024-11-19 has it",
            id="wheels of another Python",
        ),
        pytest.param(
            card_images.COMMON, {}, "os.img: expected an image of Raspberry", id="an unknown image"
        ),
        pytest.param(
            card_images.SYSTEMD, {"profile": "orin-nano"}, "NVIDIA's own tools", id="a Jetson"
        ),
        pytest.param(card_images.SYSTEMD, {"bundle": "none"}, "no bundle.json", id="no bundle"),
        pytest.param(
            card_images.SYSTEMD,
            {"profile": "pi4"},
            "for pi4, found one for pi5",
            id="another board",
        ),
        pytest.param(
            card_images.SYSTEMD, {"bundle": "light"}, "found those for none", id="no wheels at all"
        ),
    ],
)
def test_what_does_not_fit_together_is_said_before_anything_is_written(
    desk, capsys, files, given, said
):
    card_images.bundle(desk / "for-3.13")
    card_images.bundle(desk / "light", python=())
    (desk / "os.img").write_bytes(card_images.card(files))

    assert flash(desk, "--yes", **{"image": "os.img"} | given) != 0

    shown = capsys.readouterr().err
    assert said in shown
    assert len(shown.strip().splitlines()) == 1
    assert not (desk / "card.img").exists()


def test_a_bundle_with_one_byte_changed_is_refused(desk, capsys):
    (desk / "bundle/device.toml").write_bytes(b"[Model]\n")

    assert flash(desk, "--yes") == 1

    assert "bundle/device.toml: expected" in capsys.readouterr().err


def test_a_card_that_is_changed_while_its_bundle_is_made_is_not_written(desk, capsys, monkeypatch):
    path = desk / "card.img"
    path.write_bytes(bytes(8 << 20))
    cards = [Target(path, "Ultra", 8 << 20, 0, (mark,)) for mark in ("7", "8")]
    monkeypatch.setattr("boards.flash.cli.look", lambda *_, **__: cards.pop(0))

    assert flash(desk, "--yes") == 1

    assert "the card was changed; nothing was written" in capsys.readouterr().err
    assert not any(path.read_bytes())


def test_a_bundle_brings_its_own_configuration(desk, capsys):
    assert flash(desk, "--config", str(desk / "mine.toml")) == 2

    assert "a bundle has its own" in capsys.readouterr().err


def test_a_full_boot_partition_says_how_much_is_missing(desk, capsys):
    card_images.bundle(desk / "large", more={"wheels/x.whl": bytes(5 << 20)})
    (desk / "os.img").write_bytes(card_images.card(card_images.CLOUDINIT_RPI))

    assert flash(desk, "--yes", image="os.img", bundle="large") == 1

    assert "1.1 MiB are missing" in capsys.readouterr().err


def test_a_secret_that_is_given_is_looked_at_before_a_bundle_is_made(desk, capsys, monkeypatch):
    monkeypatch.setattr("boards.flash.cli.make", lambda *_: pytest.fail("a bundle was made"))
    (desk / "empty").write_text("\nsecond\n")

    assert flash(desk, "--mqtt-password-file", str(desk / "empty"), bundle=None) == 2
    assert "empty: expected a password in its first line" in capsys.readouterr().err
    assert flash(desk, "--allowed-signers", str(desk / "gone"), bundle=None) == 2
    assert "gone: expected a file of text" in capsys.readouterr().err


def test_a_secret_that_the_configuration_reads_and_nobody_gave_is_noted(desk, capsys):
    unit = b"[Service]\nLoadCredential=mqtt:/etc/edge/secrets/mqtt\nSetCredential=mqtt:\\n\n"
    unit = {"root/etc/systemd/system/edge.service": unit}
    card_images.bundle(desk / "told", more=unit)

    assert flash(desk, bundle="told") == 0
    assert "put it on the board, into /etc/edge/secrets/mqtt" in capsys.readouterr().out
    assert flash(desk, "--mqtt-password-file", str(desk / "mqtt"), bundle="told") == 0
    assert "put it on the board" not in capsys.readouterr().out


@pytest.mark.parametrize("word", ["0" * 63, "g" * 64, ""])
def test_what_is_no_sha256_is_said_before_anything_is_read(desk, word, capsys):
    with pytest.raises(SystemExit, match="2"):
        flash(desk, "--sha256", word, image="gone.img")

    assert f"--sha256: expected 64 hexadecimal digits, found '{word}'" in capsys.readouterr().err


def test_the_sha256_that_is_known_is_compared(desk, capsys):
    (desk / "os.img.xz.sha256").write_text(f"{'0' * 64}  os.img.xz\n")
    assert flash(desk) == 1
    assert f"expected SHA-256 {'0' * 64}, found" in capsys.readouterr().err

    (desk / "os.img.xz.sha256").unlink()
    assert flash(desk) == 0
    found = capsys.readouterr().out.split("sha256   ")[1].split(",")[0]
    assert flash(desk, "--sha256", found.upper()) == 0
    assert f"{found}, as expected" in capsys.readouterr().out


def test_the_image_itself_is_no_target(desk, capsys):
    (desk / "card.img").write_bytes(card_images.card(card_images.CLOUDINIT_RPI))

    assert flash(desk, "--yes", image="card.img") == 2

    assert "another file than the image itself" in capsys.readouterr().err


def test_a_wifi_password_is_not_asked_of_nobody(desk, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO())

    assert flash(desk, "--wifi", "Home", "--wifi-country", "DE", "--yes") == 2

    assert "--wifi-password-file" in capsys.readouterr().err

"""`edge-board flash`: what would be written to which card; with `--yes`, writes it."""

from __future__ import annotations

import getpass
import sys
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from boards import profile as profiles
from boards.bundle import Wanted, make
from boards.device.signatures import SIGNERS
from boards.flash import answers, card_files, formats, image, imager, jetson, write
from boards.flash.fat import Fat
from boards.flash.target import look
from boards.verbs import sha256_hex
from edge.errors import BoardError, ConfigError
from edge.terminal.command import add_verb, positive, write_text
from edge.terminal.progress import bar, waiting

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from boards.flash.answers import Settings
    from boards.flash.formats import System
    from boards.flash.target import Target
    from edge.terminal.progress import Progress

MIB = 1 << 20
MAX_CARD_GIB = 256


def add(verbs: Any) -> None:  # noqa: ANN401 - argparse keeps the type to itself
    """Add the verbs."""
    _add_flash(verbs)
    listing = add_verb(
        verbs, "manifest", "Write what Raspberry Pi Imager opens to offer an image of ours.",
        run=_manifest,
        examples=["edge-board manifest pi5 --image card.img.xz --out pi5.rpi-imager-manifest"],
    )  # fmt: skip
    listing.add_argument(
        "--image", required=True, type=Path, metavar="FILE", help=".img or .img.xz"
    )
    listing.add_argument("--out", required=True, type=Path, metavar="FILE")
    listing.add_argument("--url", default="", help="where Imager gets it (default: the file)")
    listing.add_argument("--icon", default="", metavar="URL", help="of its picture")
    staging = add_verb(
        verbs, "stage", "Lay a bundle into NVIDIA's Linux_for_Tegra, and print how to flash it.",
        run=_stage,
        examples=["sudo edge-board stage orin-nano --l4t Linux_for_Tegra --bundle DIR"],
    )  # fmt: skip
    staging.add_argument("--l4t", required=True, type=Path, metavar="DIR", help="Linux_for_Tegra")
    staging.add_argument("--bundle", required=True, type=Path, metavar="DIR")
    staging.add_argument(
        "--storage", choices=["nvme", "internal"], default="nvme", help="default: %(default)s"
    )
    for verb in (listing, staging):
        verb.add_argument("name", metavar="PROFILE", help="as `edge-board list` prints it")


def _manifest(arguments: argparse.Namespace) -> None:
    profile = profiles.load(arguments.name)
    fields = imager.manifest(arguments.image, profile, url=arguments.url, icon=arguments.icon)
    write_text(arguments.out, imager.text(fields))
    print(f"{arguments.out}: open it with Raspberry Pi Imager 2")


def _stage(arguments: argparse.Namespace) -> None:
    profile = profiles.load(arguments.name)
    tree = jetson.look(arguments.l4t, profile, storage=arguments.storage)
    count = jetson.stage(tree, arguments.bundle)
    print(
        f"{count} files lie in {arguments.l4t / 'rootfs' / jetson.PLACE}, to be installed at boot."
    )
    print("Put the board into recovery mode, and in that folder type NVIDIA's own commands")
    print("(each names what lies there; none was run by this program):")
    for command in tree.commands:
        print(f"  {command}")


def _add_flash(verbs: Any) -> None:  # noqa: ANN401
    verb = add_verb(
        verbs, "flash", "Write an image to a card, with what the board needs at its first boot.",
        run=_flash,
        examples=["edge-board flash --profile pi5 --image os.img.xz --bundle DIR --to /dev/sdX"],
    )  # fmt: skip
    what = verb.add_argument_group("what is written where")
    what.add_argument("--profile", required=True, metavar="NAME", help="of the board")
    what.add_argument("--image", required=True, type=Path, metavar="FILE", help=".img or .img.xz")
    what.add_argument("--to", required=True, type=Path, metavar="PATH", help="card or file")
    what.add_argument(
        "--bundle", type=Path, metavar="DIR", help="of `edge-board bundle` (default: made now)"
    )
    what.add_argument("--config", type=Path, metavar="FILE", help="of a bundle that is made now")
    what.add_argument("--model", type=Path, metavar="FILE", help="of a bundle that is made now")
    what.add_argument(
        "--sha256",
        type=sha256_hex,
        metavar="HEX",
        help="of the image's file; else FILE.sha256 has it",
    )
    what.add_argument("--yes", action="store_true", help="erase PATH and write; else only say what")
    what.add_argument(
        "--max-gib", type=positive, default=MAX_CARD_GIB, metavar="N",
        help="refuse a larger card (default: %(default)s)",
    )  # fmt: skip
    what.add_argument("--internal", action="store_true", help="allow a disk inside this machine")
    told = verb.add_argument_group("what the board is told at its first boot")
    told.add_argument("--hostname", default="", metavar="NAME")
    told.add_argument("--user", default="", metavar="NAME", help="who may log in, by SSH too")
    told.add_argument("--ssh-key", type=Path, metavar="FILE", help="public keys of that user")
    told.add_argument(
        "--user-password-file", type=Path, metavar="FILE",
        help="its first line is that user's password; SSH takes it only without --ssh-key",
    )  # fmt: skip
    told.add_argument("--wifi", default="", metavar="SSID", help="the password is asked for")
    told.add_argument("--wifi-country", default="", metavar="CC", help="as DE, GB, US")
    told.add_argument("--wifi-password-file", type=Path, metavar="FILE")
    told.add_argument("--timezone", default="", metavar="ZONE", help="as Europe/Berlin")
    told.add_argument("--mqtt-password-file", type=Path, metavar="FILE")
    told.add_argument(
        "--allowed-signers", type=Path, metavar="FILE", help="who may sign its updates (ssh-keygen)"
    )


def _flash(arguments: argparse.Namespace) -> None:
    profile = profiles.load(arguments.profile)
    if profile.carrier != "card":
        raise ConfigError(
            f"--profile {profile.name}: expected a board that starts from a card, found "
            f"{profile.title}; "
            + (
                "NVIDIA's own tools flash it: edge-board stage --help"
                if profile.carrier == "l4t"
                else "install on its running system: sudo edge install"
            )
        )
    if arguments.bundle and (arguments.config or arguments.model):
        raise ConfigError(
            "expected --bundle or --config and --model, found both: a bundle has its own"
        )
    target = _target(arguments)
    source = image.open_image(arguments.image)
    _check_target(source, target)
    digest, settings = _sha256(arguments), _settings(arguments)
    with ExitStack() as stack:
        scratch = stack.enter_context(tempfile.TemporaryDirectory())
        is_card = target.size is not None
        # Held while its bundle is made, which takes minutes.
        disk = stack.enter_context(write.opened(target)) if arguments.yes and is_card else None
        job = _job(arguments, source, settings, scratch=Path(scratch))
        print(f"sha256   {digest}")
        print(f"target   {_described(target)}")
        if not arguments.yes:
            print(f"nothing was written; to erase {target.path} and write this, add --yes")
            return
        if _target(arguments) != target:
            raise BoardError(f"{target.path}: the card was changed; nothing was written")
        disk = disk or stack.enter_context(write.opened(target))
        with write.told(target), _progress() as progress:
            write.write(disk, job, size=target.size, progress=progress)
    print(f"{target.path} is written, and all of it was read back")


def _target(arguments: argparse.Namespace) -> Target:
    return look(arguments.to, max_gib=arguments.max_gib, internal=arguments.internal)


def _job(
    arguments: argparse.Namespace, source: image.Source, settings: Settings, *, scratch: Path
) -> write.Job:
    """Look at the image, say what is written, and return that."""
    profile = profiles.load(arguments.profile)
    layout = image.layout(source)
    with source.head(image.head_bytes(layout)) as head:
        with image.named(source.path):
            image.refuse_encrypted(head, layout)
            fat = Fat(head, layout.boot)
            system = formats.detect(fat)
        given = _given(arguments)
        bundle = card_files.opened(arguments.bundle or _made(arguments, system, scratch / "bundle"))
        card_files.check(bundle, profile, python=system.python, title=system.title)
        files = card_files.of_bundle(bundle)
        if arguments.allowed_signers:
            signers = card_files.contents(given[f"edge/{SIGNERS}"])
            card_files.check_signed(bundle, signers, scratch)
        files |= given
        files |= card_files.of_first_boot(fat, system, settings, words=profile.cmdline)
        card_files.check_room(fat, files)
    print(f"image    {source.path}, {source.size / MIB:.1f} MiB unpacked")
    print(f"system   {system.title}, whose first boot is by {system.format}")
    total = sum(map(card_files.size, files.values()))
    print(f"files    {len(files)}, {total / MIB:.1f} MiB, of {fat.free_bytes / MIB:.1f} MiB free")
    if "cmdline.txt" not in files:
        print("note     there is no cmdline.txt: the kernel's command line stays as it is")
    for name in sorted(card_files.secrets(bundle)):
        if f"edge/secrets/{name}" not in files:
            print(f"note     the configuration reads the secret {name}, which is not among these:")
            print(f"         put it on the board, into /etc/edge/secrets/{name}")
    for path, data in files.items():
        print(f"  {card_files.size(data):>11,} bytes  {path}")
    return write.Job(source, layout, files)


def _given(arguments: argparse.Namespace) -> card_files.Files:
    """Return what goes onto the card as it was given."""
    files: card_files.Files = {}
    if arguments.mqtt_password_file:
        if not (password := answers.first_line(arguments.mqtt_password_file)):
            raise ConfigError(
                f"{arguments.mqtt_password_file}: expected a password in its first line, found none"
            )
        files["edge/secrets/mqtt"] = password.encode()
    if arguments.allowed_signers:
        files[f"edge/{SIGNERS}"] = answers.text(arguments.allowed_signers).encode()
        if not arguments.bundle:
            raise ConfigError(
                "--allowed-signers: expected --bundle DIR, a signed one, as the board would refuse "
                f"one that is made now; type: edge-board bundle {arguments.profile} --sign KEY "
                "--out DIR"
            )
    return files


def _made(arguments: argparse.Namespace, system: System, out: Path) -> Path:
    """Make a bundle for the image's Python, or for all of the board's where that isn't known."""
    profile = profiles.load(arguments.profile)
    pythons = (system.python,) if system.python else profile.python
    wanted = Wanted(out=out, config=arguments.config, model=arguments.model, pythons=pythons)
    with waiting(f"making a bundle for Python {' and '.join(pythons)}"):
        return make(profile, wanted).out


@contextmanager
def _progress() -> Iterator[write.Told]:
    with ExitStack() as stack:
        bars: dict[str, Progress | None] = {}

        def told(what: str, done: int, total: int) -> None:
            if what not in bars:
                stack.pop_all().close()
                bars[what] = stack.enter_context(bar(what, unit="MiB"))
            if draw := bars[what]:
                draw(done // MIB, total // MIB)

        yield told


def _check_target(source: image.Source, target: Target) -> None:
    if target.size is not None and source.size > target.size:
        raise BoardError(
            f"{source.path}: the image of {source.size / 2**30:.2f} GiB is too big for the card "
            f"{target.path} of {target.size / 2**30:.2f} GiB; take a larger one"
        )
    if target.path.exists() and target.path.samefile(source.path):
        raise ConfigError("--to: expected another file than the image itself")


def _settings(arguments: argparse.Namespace) -> Settings:
    password = None
    if arguments.wifi_password_file:
        password = answers.first_line(arguments.wifi_password_file)
    elif arguments.wifi and arguments.yes:
        if not sys.stdin.isatty():
            raise ConfigError("expected --wifi-password-file FILE, as there is nobody to ask")
        password = (
            getpass.getpass(f"password of {arguments.wifi} (none: an open network): ") or None
        )
    names = ("hostname", "user", "ssh_key", "wifi", "wifi_country", "timezone")
    given = {name: getattr(arguments, name) for name in names}
    of_user = arguments.user_password_file
    return answers.settings(
        **given,
        wifi_password=password,
        user_password=answers.first_line(of_user) if of_user else None,
    )


def _sha256(arguments: argparse.Namespace) -> str:
    """Compare the image's file with the SHA-256 that is known of it."""
    beside = arguments.image.with_name(arguments.image.name + ".sha256")
    wanted = (
        arguments.sha256 or (answers.first_line(beside).split() or [""])[0]
        if arguments.sha256 or beside.is_file()
        else ""
    )
    digest = image.sha256(arguments.image)
    if wanted and digest != wanted.lower():
        raise BoardError(
            f"{arguments.image}: expected SHA-256 {wanted}, found {digest}; load it again"
        )
    return digest + (", as expected" if wanted else ", compared with nothing")


def _described(target: Target) -> str:
    size = f", {target.size / 2**30:.1f} GiB" if target.size else ""
    return f"{target.path}, {target.title}{size}"

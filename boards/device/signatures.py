"""Who signed a bundle: Ed25519 keys of OpenSSH, checked by its own ssh-keygen.

A key is made by `ssh-keygen -t ed25519 -f KEY`; a bundle is signed by
`ssh-keygen -Y sign -n edge-vision -f KEY bundle.json`. Source: ssh-keygen(1), ALLOWED SIGNERS.
"""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from edge.errors import BoardError

if TYPE_CHECKING:
    from pathlib import Path

    from boards.device.place import Place

# The list of a bundle, who signed it, and whose signatures a board takes.
MANIFEST, SIGNATURE, SIGNERS = "bundle.json", "bundle.json.sig", "allowed_signers"
# Of `ssh-keygen -Y`: a signature for something else is none here.
NAMESPACE = "edge-vision"
TIMEOUT_S = 60.0


def check(place: Place, folder: Path, text: bytes, *, must: bool = False) -> None:
    """Refuse a bundle that none of the board's signers signed; a board without them takes any.

    Args:
        place: Names the signers, in `/etc/edge/allowed_signers`.
        folder: Of the bundle.
        text: Its list, as it was read.
        must: Refuse it too where the board names no signers.
    """
    signers = place.etc / SIGNERS
    if not signers.exists():
        if must or signers.is_symlink():
            raise BoardError(
                f"expected {place.own(signers)}, found none: over the network only signed bundles "
                "are taken; put the line of your key there (docs/updates.md)"
            )
        return
    signature = folder / SIGNATURE
    if not signature.is_file():
        raise BoardError(
            f"{folder}: expected a signature, as {place.own(signers)} is there, found none; sign "
            f"it: ssh-keygen -Y sign -n {NAMESPACE} -f KEY {MANIFEST}"
        )
    options = ["-s", str(signature), "-f", str(signers)]
    named = _keygen(["find-principals", *options], text)
    for who in named.stdout.decode(errors="replace").splitlines():
        if not _keygen(["verify", "-n", NAMESPACE, "-I", who, *options], text).returncode:
            return
    said = " ".join(named.stderr.decode(errors="replace").split())
    raise BoardError(
        f"{folder}: expected a signature of one of {place.own(signers)}, found that of nobody "
        f"there, or of another bundle ({said or 'ssh-keygen: not verified'}); sign it with the "
        "right key"
    )


def _keygen(arguments: list[str], text: bytes) -> subprocess.CompletedProcess[bytes]:
    command = ["ssh-keygen", "-Y", *arguments]
    try:
        return subprocess.run(
            command, input=text, capture_output=True, check=False, timeout=TIMEOUT_S
        )
    except FileNotFoundError as error:
        raise BoardError(
            "a signature is checked by ssh-keygen, which is not there: sudo apt install "
            "openssh-client"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise BoardError(
            f"ssh-keygen did not check a signature within {TIMEOUT_S:g} s; run this again"
        ) from error

#!/bin/sh
# Install this bundle of edge-vision on the board that it is run on: sudo ./install.sh
set -eu
here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
if ! command -v python3 >/dev/null; then
    echo "install.sh: expected python3 on this board, found none; type: sudo apt install python3" >&2
    exit 1
fi
for wheel in "$here"/wheels/edge_vision-*.whl; do
    if [ -e "$wheel" ]; then
        PYTHONPATH="$wheel" exec python3 -m boards.device install --from "$here" "$@"
    fi
done
# A bundle without wheels changes what is installed already.
exec edge install --from "$here" "$@"

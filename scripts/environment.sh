# Sourced by the scripts beside it: finds a Python, makes an environment, installs into it what is missing.
# shellcheck shell=bash

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
# shellcheck disable=SC2034  # read by the scripts
ALL_EXTRAS=(demo converter dev)
# TensorFlow, which the extra `converter` needs, has builds for these.
WITH_TENSORFLOW=(3.13 3.12 3.11 3.10)
# The last one comes last, so that an environment can get the converter later on.
PYTHONS=("${WITH_TENSORFLOW[@]}" 3.14)
export PIP_DISABLE_PIP_VERSION_CHECK=1

# Any Python, however old, can run this. The path comes last: it may hold spaces. A virtual environment
# and a pyenv shim both answer with the interpreter behind them.
PROBE='
import sys
try:
    import ensurepip, venv
    has_venv = "venv"
except ImportError:
    has_venv = "bare"
name = getattr(getattr(sys, "implementation", None), "name", "other")
bits = 64 if sys.maxsize > 2**32 else 32
path = getattr(sys, "_base_executable", None) or sys.executable
print("%d.%d %s %d %s %s" % (sys.version_info[0], sys.version_info[1], name, bits, has_venv, path))
'

say() { printf '%s\n' "$*"; }
fail() {
    printf '%s\n' "$*" >&2
    exit 1
}

# Every program that may be a Python, a line each; each has still to prove it by running.
candidates() {
    if [ -n "${PYTHON:-}" ]; then
        type -P "$PYTHON" || true
        return
    fi
    local version file
    for version in "${PYTHONS[@]}"; do
        type -ap "python$version" || true
    done
    type -ap python3 || true
    for file in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/*/bin/python \
        "${XDG_DATA_HOME:-$HOME/.local/share}"/uv/python/*/bin/python3; do
        if [ -x "$file" ]; then say "$file"; fi
    done
}

# What each candidate says of itself; those that fail to run (a pyenv shim without a version) are left out.
probe_all() {
    local program
    candidates | while IFS= read -r program; do
        "$program" -c "$PROBE" 2>/dev/null </dev/null || true
    done
}

# What matches the versions in PYTHONS: a dot in brackets is one to grep and to awk.
version_pattern() {
    local pattern="${PYTHONS[*]/./[.]}"
    say "${pattern// /|}"
}

# "VERSION PATH" of each usable Python, the first of each version, in the order found.
usable_pythons() {
    probe_all | awk -v known="^($(version_pattern))\$" '
        $1 ~ known && $2 == "cpython" && $3 == 64 && $4 == "venv" && !seen[$1]++ {
            version = $1; sub(/^[^ ]+ [^ ]+ [^ ]+ [^ ]+ /, ""); print version, $0
        }'
}

# Leaves the path of a usable Python in REPLY, of the version $1 where one is named; status 1 without.
find_python() {
    local version path PYTHON="${PYTHON:-}"
    if [ -n "${1:-}" ]; then PYTHON=""; fi
    while read -r version path; do
        if [ -z "${1:-}" ] || [ "$version" = "$1" ]; then
            REPLY="$path"
            return 0
        fi
    done < <(usable_pythons)
    return 1
}

wanted_python() {
    local last=""
    if [ "${PYTHONS[*]}" = "${WITH_TENSORFLOW[*]}" ]; then last=" (TensorFlow has no build for a later one)"; fi
    say "a 64-bit CPython of $(printf '%s\n' "${PYTHONS[@]}" | sort -V | paste -sd '|' | sed 's/|/, /g')$last"
}

explain_no_python() {
    local found wanted
    wanted="$(wanted_python)"
    found="$(probe_all | sort -u)"
    if [ -z "$found" ]; then
        fail "edge-vision needs $wanted, and found ${PYTHON:-none}${PYTHON:+, which does not run};" \
            "type: sudo apt install python3 python3-venv, or name one: PYTHON=/path/to/python $0"
    fi
    if grep -Eq "^($(version_pattern)) cpython 64 bare " <<<"$found"; then
        fail "This Python lacks the venv module; type: sudo apt install python3-venv"
    fi
    if ! grep -q ' 64 ' <<<"$found"; then
        fail "edge-vision needs $wanted, and found only 32-bit ones: its packages have no 32-bit builds;" \
            "use a 64-bit operating system (docs/boards.md)"
    fi
    fail "edge-vision needs $wanted, and found: $(awk '{printf "%s%s %s (%s-bit)", sep, $2, $1, $3; sep=", "}' <<<"$found");" \
        "install one, or name it: PYTHON=/path/to/python $0"
}

# Makes the environment in folder $1 with Python $2 (a version, or nothing for any), unless it is there and works.
make_environment() {
    local folder="$1" version="${2:-}" existing wanted root
    existing="$("$folder/bin/python" -c "$PROBE" 2>/dev/null | cut -d' ' -f1)" || existing=""
    root="$(stamp_line "$folder" root)"
    if [ -n "$existing" ] && { [ -z "$root" ] || [ "$root" = "$ROOT" ]; }; then
        wanted="$existing"
        if [ -n "${PYTHON:-}" ] && [ -z "$version" ]; then
            wanted="$("$PYTHON" -c "$PROBE" 2>/dev/null | cut -d' ' -f1)" || wanted="no Python"
        fi
        if [ "$wanted" != "$existing" ]; then
            fail "$folder has Python $existing, but PYTHON=$PYTHON is $wanted; type: rm -r '$folder'"
        fi
        case " ${PYTHONS[*]} " in *" $existing "*) return ;; esac
        fail "$folder has Python $existing, and this needs $(wanted_python); type: rm -r '$folder'"
    fi
    find_python "$version" || explain_no_python
    # Scripts in an environment hold its path: in a folder that was moved or copied they would run the old one.
    "$REPLY" -m venv --clear "$folder" || fail "$REPLY cannot make $folder; see the lines above"
    say "root $ROOT" >"$folder/edge-vision.stamp"
}

# The value of line "$2 ..." in the stamp of environment $1, or nothing.
stamp_line() {
    if [ -f "$1/edge-vision.stamp" ]; then sed -n "s/^$2 //p" "$1/edge-vision.stamp"; fi
}

# Installs the project with the extras $3... into environment $1 (Python $2, or nothing for any), if that is not done.
# Extras add up: the demo does not take away what the tests have installed.
ensure_environment() {
    local folder="$1" version="$2" extra extras digest PYTHONS=("${PYTHONS[@]}")
    shift 2
    case " $* " in *" converter "*) PYTHONS=("${WITH_TENSORFLOW[@]}") ;; esac
    make_environment "$folder" "$version"
    digest="$("$folder/bin/python" -c \
        'import hashlib, sys; print(hashlib.sha256(open(sys.argv[1], "rb").read()).hexdigest())' "$ROOT/pyproject.toml")"
    extras="$(stamp_line "$folder" extras)"
    local missing=0
    for extra in "$@"; do
        case " $extras " in
        *" $extra "*) ;;
        *) extras="${extras:+$extras }$extra" missing=1 ;;
        esac
    done
    if [ "$missing" = 0 ] && [ "$(stamp_line "$folder" pyproject)" = "$digest" ]; then return; fi
    install_extras "$folder" "$extras"
    printf 'root %s\npyproject %s\nextras %s\n' "$ROOT" "$digest" "$extras" >"$folder/edge-vision.stamp"
}

install_extras() {
    local folder="$1" extras="$2" quiet="-qq" size="about 0.4 GB, a minute"
    case " $extras " in *" converter "*) size="with TensorFlow about 3 GB, several minutes" ;; esac
    if [ -t 1 ]; then quiet="--progress-bar=on"; fi
    say "Installing edge-vision[${extras// /,}] into ${folder#"$ROOT"/} ($("$folder/bin/python" --version)): $size."
    "$folder/bin/python" -m pip install "$quiet" --editable "${ROOT}[${extras// /,}]" ||
        fail "Installing failed: pip's lines above say why; without a network, try again with one."
}

#!/bin/sh
# Made by minglibc for the target @TARGET@. `sh install.sh DIRECTORY` creates an environment there from
# this folder; it needs neither a network nor pip. PYTHON names the interpreter to use.
# --allowed-signers FILE requires a signature by one of these signers (ssh-keygen(1), ALLOWED SIGNERS).
set -eu
unset CDPATH PYTHONHOME PYTHONPATH
# Python 3.6 can use paths outside ASCII only in a UTF-8 locale.
LC_ALL=C.UTF-8
export LC_ALL
# No configuration of the machine may let pip install to another place.
PIP_CONFIG_FILE=/dev/null
export PIP_CONFIG_FILE

python_name=@PYTHON_NAME@
python_version=@PYTHON_VERSION@
architecture=@ARCHITECTURE@
elf=@ELF@
libc=@LIBC@
cap=@CAP@
pip=@PIP@
packages=@PACKAGES@

warn() {
    printf '%s\n' "$*" >&2
}

usage() {
    warn "usage: sh install.sh [--allowed-signers FILE] DIRECTORY"
    exit 2
}

signers=
if [ $# -eq 3 ] && [ "$1" = --allowed-signers ] && [ -n "$2" ]; then
    signers=$2
    shift 2
fi
if [ $# -ne 1 ] || [ -z "$1" ]; then
    usage
fi
case $1 in
    -*) usage ;;
    /*) venv=$1 ;;
    *) venv=$(pwd)/$1 ;;
esac
here=$(cd "$(dirname "$0")" && pwd -P)

verify() {
    if ! command -v ssh-keygen >/dev/null; then
        warn "error: ssh-keygen was not found, which verifies signatures"
        exit 1
    fi
    if [ ! -f "$here/SHA256SUMS.sig" ]; then
        warn "error: the bundle is not signed"
        exit 1
    fi
    signer=$(ssh-keygen -Y find-principals -s "$here/SHA256SUMS.sig" -f "$signers" 2>/dev/null | head -n 1) || signer=
    if [ -z "$signer" ] || ! ssh-keygen -Y verify -n @NAMESPACE@ -I "$signer" -s "$here/SHA256SUMS.sig" \
        -f "$signers" <"$here/SHA256SUMS" >/dev/null; then
        warn "error: the bundle has no valid signature by a signer in $signers"
        exit 1
    fi
}
[ -z "$signers" ] || verify

python=${PYTHON:-}
if [ -z "$python" ]; then
    # A name on PATH may be a stub that does not start.
    starts='import sys; sys.exit(not (sys.argv[1].rstrip("t") + ".").startswith("%d.%d." % sys.version_info[:2]))'
    for candidate in "$python_name" python3; do
        if "$candidate" -c "$starts" "$python_version" 2>/dev/null; then
            python=$candidate
            break
        fi
    done
fi
if [ -z "$python" ]; then
    warn "error: there is no $python_name on PATH"
    warn "hint: name the interpreter: PYTHON=/path/to/$python_name sh install.sh DIRECTORY"
    exit 1
fi
if ! "$python" -c '' 2>/dev/null; then
    warn "error: $python does not start"
    exit 1
fi

# Check everything before anything is written.
"$python" -I -B - "$here" "$venv" "$python_name" "$python_version" "$architecture" "$elf" "$libc" "$cap" <<'END'
@CHECKS@
END

remove_incomplete() {
    code=$?
    [ "$code" -eq 0 ] || rm -rf "$venv"
}
trap remove_incomplete EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
"$python" -I -m venv --without-pip "$venv"
if [ "$packages" != "0 packages" ]; then
    "$venv/bin/python" -I -B "$here/wheels/$pip/pip" --isolated --disable-pip-version-check install --quiet \
        --no-cache-dir --no-index --no-deps --require-hashes --only-binary :all: --no-warn-script-location \
        --find-links "$here/wheels" -r "$here/requirements.txt"
fi
echo "Installed $packages: $venv/bin/python"

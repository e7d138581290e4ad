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
# The path of the interpreter in interpreter.tar.gz; empty without one.
interpreter=@INTERPRETER@

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

unpacked=
creating=
clean_up() {
    code=$?
    [ -z "$unpacked" ] || rm -rf "$unpacked"
    [ "$code" -eq 0 ] || [ -z "$creating" ] || rm -rf "$venv"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# Verify and unpack interpreter.tar.gz beside the environment, before there is a Python that can check the bundle.
unpack() {
    for tool in sha256sum tar gzip; do
        if ! command -v "$tool" >/dev/null; then
            warn "error: $tool was not found, which unpacks the interpreter"
            exit 1
        fi
    done
    if [ -L "$venv" ] || { [ -e "$venv" ] && [ -n "$(ls -A "$venv")" ]; }; then
        warn "error: $venv already exists"
        warn "hint: remove it, or choose another folder"
        exit 1
    fi
    mkdir -p "$(dirname "$venv")"
    parent=$(cd "$(dirname "$venv")" && pwd -P)
    case "$parent/" in
        "$here"/*)
            warn "error: $venv is inside the bundle"
            warn "hint: choose another folder"
            exit 1
            ;;
    esac
    sum=$(grep '^[0-9a-f]*  interpreter\.tar\.gz$' "$here/SHA256SUMS") || sum=
    if [ -z "$sum" ] || ! printf '%s\n' "$sum" | (cd "$here" && sha256sum -c -) >/dev/null 2>&1; then
        warn "error: the bundle was changed:"
        warn "  changed: interpreter.tar.gz"
        warn "hint: copy the bundle again"
        exit 1
    fi
    unpacked=$parent/.minglibc-interpreter-$$
    mkdir "$unpacked"
    # The files belong to the user that installs.
    tar -xzof "$here/interpreter.tar.gz" -C "$unpacked"
}

python=${PYTHON:-}
if [ -n "$interpreter" ] && [ -z "$python" ]; then
    unpack
    python=$unpacked/$interpreter
fi
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
if ! "$python" -B -c '' 2>/dev/null; then
    [ -z "$unpacked" ] || python="the interpreter in the bundle"
    warn "error: $python does not start"
    exit 1
fi

# Check everything before anything is written.
"$python" -I -B - "$here" "$venv" "$python_name" "$python_version" "$architecture" "$elf" "$libc" "$cap" <<'END'
@CHECKS@
END

creating=yes
if [ -n "$unpacked" ]; then
    mkdir -p "$venv"
    # Without the folders that the archive has around bin/.
    mv "$unpacked/${interpreter%bin/*}" "$venv/interpreter"
    python=$venv/interpreter/bin/${interpreter##*/}
fi
"$python" -I -m venv --without-pip "$venv"
if [ "$packages" != "0 packages" ]; then
    "$venv/bin/python" -I -B "$here/wheels/$pip/pip" --isolated --disable-pip-version-check install --quiet \
        --no-cache-dir --no-index --no-deps --require-hashes --only-binary :all: --no-warn-script-location \
        --find-links "$here/wheels" -r "$here/requirements.txt"
fi
echo "Installed $packages: $venv/bin/python"

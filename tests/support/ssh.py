"""Programs called ssh: one that runs commands on this machine, and one that uses a real client with its own configuration."""

from pathlib import Path

_LOCAL = """\
while [ "$1" != -- ]; do shift; done
shift
host=$1
shift
case $host in
dead*) echo "ssh: connect to host $host port 22: Connection refused" >&2; exit 255 ;;
noisy*) echo "Welcome to minglibc-facts"; yes "an error" | head -c 3000000 >&2 ;;
endless*) exec yes ;;
detached*) setsid sleep 10 & ;;
closed*) exec sleep 100 >&- 2>&- ;;
hanging*) sleep 100 & exec sleep 100 ;;
esac
PATH=@PATH@ exec sh -c "$*"
"""


def local_ssh(folder: Path, path: str) -> Path:
    """The folder of a program ssh, whose hosts are this machine with the search path *path*, or misbehave as named."""
    return _program(folder, _LOCAL.replace("@PATH@", path))


def configured_ssh(folder: Path, client: str, configuration: Path) -> Path:
    """The folder of a program ssh that starts *client* with *configuration*."""
    return _program(folder, f'exec {client} -F {configuration} "$@"\n')


def _program(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "ssh").write_text(f"#!/bin/sh\n{text}", encoding="utf-8")
    (folder / "ssh").chmod(0o755)
    return folder

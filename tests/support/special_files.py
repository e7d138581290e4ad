"""Files that are not regular, and block or never end when they are read."""

import os
import socket
from pathlib import Path

KINDS = ("pipe", "folder", "device", "socket")


def make_special(path: Path, kind: str) -> None:
    """Replace *path* by a FIFO, a folder, a link to a device, or a socket."""
    path.unlink(missing_ok=True)
    match kind:
        case "pipe":
            os.mkfifo(path)
        case "folder":
            path.mkdir()
        case "device":
            path.symlink_to("/dev/zero")
        case _:
            here = Path.cwd()
            os.chdir(path.parent)  # the path of a socket is limited to 108 bytes
            try:
                with socket.socket(socket.AF_UNIX) as server:
                    server.bind(path.name)
            finally:
                os.chdir(here)

"""What identifies a process, so that files of processes that no longer run are recognized, also on shared disks."""

import os
from contextlib import suppress


def host() -> str:
    """The machine, its boot and its process namespace: a process id is only meaningful within these."""
    parts = [os.uname().nodename.replace("/", "_").replace(" ", "_")]
    with suppress(OSError):
        parts.append(os.readlink("/proc/self/ns/pid").strip("pid:[]"))
    with suppress(OSError), open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        parts.append(file.read().strip()[:8])
    return "~".join(parts)


def started(pid: int) -> str:
    """When process *pid* started, which distinguishes it from a later process with its id; "" if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
            # The command name, in parentheses, can contain spaces and parentheses; field 22 (proc(5)) is counted from the start.
            fields = file.read().rpartition(")")[2].split()
        # A zombie has ended; its parent has not read its exit status yet.
        return "" if fields[0] in {"Z", "X"} else fields[19]
    except (OSError, IndexError):
        pass
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except OSError:
        pass
    return "running"

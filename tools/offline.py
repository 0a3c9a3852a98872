"""Run a command with the network cut off: `python tools/offline.py COMMAND ...`.

The command runs in a network namespace of its own (Linux) in which only the loopback interface exists: the kernel of a
notebook can be reached, nothing else can.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys

RAISED = "CVLAB_OFFLINE_STAGE"
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1


def raise_loopback() -> None:
    """Switch on the loopback interface of this namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        request = struct.pack("16sh", b"lo", 0)
        flags = struct.unpack("16sh", fcntl.ioctl(s, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sh", b"lo", flags | IFF_UP))


def main(command: list[str]) -> int:
    """Enter the namespace, then run the command there."""
    if not command:
        print(__doc__)
        return 2
    if os.environ.get(RAISED):
        raise_loopback()
        environment = {k: v for k, v in os.environ.items() if k != RAISED}
        os.execvpe(command[0], command, environment)
    cut = ["unshare", "--map-root-user", "--net"]
    if shutil.which("unshare") is None or subprocess.call([*cut, "true"], stderr=subprocess.DEVNULL):
        print("offline: this system lets no user make a network namespace (unshare --map-root-user --net)")
        if os.environ.get("CI"):
            return 1
        print("offline: running the command with the network as it is")
        return subprocess.call(command)
    return subprocess.call([*cut, sys.executable, __file__, *command], env=os.environ | {RAISED: "1"})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Counts the changes that a process makes below a folder, and kills it before one of them."""

import os
import signal
import sys
from pathlib import Path

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
#: Events that change a folder: where among their arguments is the path, and the folder it is below.
_EVENTS = {
    "os.mkdir": (0, 2),
    "os.rmdir": (0, 1),
    "os.remove": (0, 1),
    "os.rename": (1, 3),
    "os.link": (1, 3),
    "os.utime": (0, 3),
    "os.chmod": (0, 2),
}


class Changes:
    """Hears of each change that this process makes below a folder, just before it is made."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder).resolve()
        self._left = 0
        self._group = False
        sys.addaudithook(self._hear)
        # No event tells of these.
        self._fsync = os.fsync
        os.fsync = self._heard_fsync

    def kill_before(self, n: int, group: bool = False) -> None:
        """Kill this process, or all of its group, before its n-th change from now on."""
        self._left, self._group = n, group

    def _hear(self, event: str, args: tuple) -> None:
        if not self._left:
            return
        if event == "open" and isinstance(args[0], str) and args[2] & _WRITES:
            self._tell(args[0], -1)
        elif event in _EVENTS:
            path, folder = (args[place] for place in _EVENTS[event])
            self._tell(os.fsdecode(path), folder)

    def _heard_fsync(self, descriptor: int) -> None:
        if self._left:
            self._tell("", descriptor)
        self._fsync(descriptor)

    def _tell(self, path: str, folder: int) -> None:
        start = Path(f"/proc/self/fd/{folder}").readlink() if folder >= 0 else Path.cwd()
        # Links are followed for the folder only: a stage makes none.
        if Path(os.path.normpath(start / path)).is_relative_to(self._folder):
            self._left -= 1
            if not self._left:
                os.kill(0 if self._group else os.getpid(), signal.SIGKILL)

"""Let the writes of stages meet full and failing disks; run as `python -m survival.disks`.

Arguments: as of `survival.boundaries`, but for the last; the results lie on a small file system of
their own, mounted by this user, and the other files elsewhere.
"""

import errno
import os
import resource
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from survival.boundaries import Study, study_stages

_PAGE = 4096


class Disks(Study):
    """One stage; each write meets every fault of a disk, and then none."""

    def __init__(self, results: Path, said: Path) -> None:
        super().__init__(results, every=False)
        self.mount, self.said = results.resolve().parents[1], said.resolve()

    def at_write(self, path: Path) -> bool:
        """Let the write fail in every way; see `Study`."""
        self.note(path)
        if self.number_of_kind() or len(self.whole) == 1:
            return False
        self.killed[self.name] = 0
        for number, (name, outside, inside) in enumerate(self._faults()):
            self.lay(older=number % 2 == 1)
            self.said.unlink(missing_ok=True)
            mend = outside()
            if not (child := os.fork()):
                inside()
                return True
            code = self.end_of(child, name)
            mend()
            said = self.said.read_text() if self.said.is_file() else "nothing"
            expected = f"DataError: {path}: cannot be written: "
            if code != 1 or not said.startswith(expected) or f"({name})" not in said:
                self.faults.append(f"{self.name}: {name}: exit code {code}, said {said}")
            if not (child := os.fork()):
                return True
            if self.end_of(child, f"{name}, rerun"):
                self.faults.append(f"{self.name}: {name}: the rerun failed")
            self.killed[self.name] += 1
        return False

    def told(self, error: BaseException) -> None:
        """Keep what a fork says, without the limits that were set for it."""
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        self.said.write_text(f"{type(error).__name__}: {error}")

    def _faults(self) -> Iterator[tuple[str, Callable, Callable]]:
        """Give each fault: its errno, how the disk gets it (returns the mending), and the fork."""
        status = (self.run.folder / self.name).stat()
        # Files with holes take less room than they are long.
        size, pages = status.st_size, -(-status.st_blocks * 512 // _PAGE)
        # No room at all, room for half of the file, room for the file but not for its seal.
        for free in sorted({0, pages // 2, pages}):
            yield "ENOSPC", lambda free=free: self._full(free * _PAGE), lambda: None
        yield "EROFS", self._read_only, lambda: None
        yield "EFBIG", lambda: lambda: None, lambda: limit_size(size // 2)
        yield "EDQUOT", lambda: lambda: None, quota_is_used_up

    def _full(self, free: int) -> Callable[[], None]:
        """Fill the disk but for some bytes."""
        filler, disk = self.mount / "filler", os.statvfs(self.mount)
        with filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, disk.f_bavail * disk.f_bsize - free)
        return filler.unlink

    def _read_only(self) -> Callable[[], None]:
        def remount(how: str) -> None:
            subprocess.run(["mount", "-o", f"remount,{how}", self.mount], check=True)

        remount("ro")
        return lambda: remount("rw")


def limit_size(n_bytes: int) -> None:
    """Let no file of this process grow beyond a size."""
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))


def quota_is_used_up() -> None:
    """Let this process hear, once its data go to the disk, that there is no quota for them."""

    def fsync(descriptor: int) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    os.fsync = fsync


if __name__ == "__main__":
    jobs, results, findings = map(Path, sys.argv[1:4])
    study_stages(Disks(results, findings.with_suffix(".said")), jobs, findings)

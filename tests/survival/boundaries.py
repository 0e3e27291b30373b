"""Kill stages at each change that they make below the results; run as `python -m survival.boundaries`.

Arguments: a JSON file with command lines of stage scripts, to be run in the working directory; the
folder of results of a finished run in it; a file for what is found, one JSON object a line.

A stage works until it writes a file, and is then forked again and again: one fork is killed before
the n-th change that the write makes, the next one plays the rerun and writes the file to its end.
What a stage calculates before it writes is thus calculated once.
"""

import json
import os
import pkgutil
import runpy
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from survival.changes import Changes


class Study:
    """One stage, which works until it writes; each write is then killed at each of its changes."""

    def __init__(self, results: Path, changes: Changes) -> None:
        from tessella.io.seals import run_of

        self.run, self.changes = run_of(results.resolve() / "any"), changes
        self.faults: list[str] = []
        self.killed: dict[str, int] = {}
        self.others: dict[Path, tuple[int, int]] = {}

    def kill_in(self, path: Path) -> bool:
        """Kill before the first, second ... change that a write makes, until it comes to its end.

        Returns
        -------
        bool
            Whether this process is a fork, whose work ends with the write.
        """
        self.name = self.run.name_of(path)
        places = (self.run.folder / self.name, self.run.seal_path(self.name))
        self.whole = {place: place.read_bytes() for place in places if place.is_file()}
        self.others = self._others()
        # What a writer finds matters to each kind of writer, not to each of its files.
        for older in (False, True) if len(self.killed) < 2 else (len(self.killed) % 2 == 0,):
            n, code = 0, -signal.SIGKILL
            while code == -signal.SIGKILL:
                n += 1
                when = f"{self.name}, killed before change {n} of {'an older' if older else 'no'} one"
                self._lay(older)
                if not (child := os.fork()):
                    self.changes.kill_before(n)
                    return True
                code = self._end_of(child, when)
                if code == -signal.SIGKILL:
                    if not (child := os.fork()):
                        return True
                    if self._end_of(child, f"{when}, rerun"):
                        self.faults.append(f"{when}: the rerun failed")
            self.killed[self.name] = self.killed.get(self.name, 0) + n - 1
        return False

    def _lay(self, older: bool) -> None:
        """Lay what a writer finds: nothing, or an older product with its seal."""
        from tessella.io.seals import write_seal

        for place in {*self._others(), *self.whole} - set(self.others):
            shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
        if older:
            path = self.run.folder / self.name
            path.write_bytes(b"older")
            if len(self.whole) == 2:
                write_seal(self.run, self.name, path, {"stage": "older"})

    def _end_of(self, child: int, when: str) -> int:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        found = {p: p.read_bytes() for p in self.whole if p.is_file()}
        if code == 0 and found != self.whole:
            self.faults.append(f"{when}: product or seal has other bytes")
        product = self.run.folder / self.name
        if found.get(product) not in (None, b"older", self.whole[product]):
            self.faults.append(f"{when}: half made")
        if code == -signal.SIGKILL and self._is_accepted_wrongly(found.get(product)):
            self.faults.append(f"{when}: accepted by readers")
        if self._others(with_parts=code == 0) != self.others:
            self.faults.append(f"{when}: left-overs, or other files changed")
        return code

    def _is_accepted_wrongly(self, found: bytes | None) -> bool:
        from tessella.io.seals import Broken, check, read_seal

        try:
            seal = read_seal(self.run, self.name)
            check(self.run, seal)
        except Broken:
            return False
        is_older = seal.made_by == {"stage": "older", "made_from": []}
        return found != (b"older" if is_older else self.whole[self.run.folder / self.name])

    def _others(self, with_parts: bool = True) -> dict[Path, tuple[int, int]]:
        """Return all other files with what changes when they do."""
        found = {}
        for place, folders, files in os.walk(self.run.folder):
            if not with_parts:
                folders[:] = [name for name in folders if not is_part(name)]
                files = [name for name in files if not is_part(name)]
            for path in (Path(place, name) for name in (*files, *filter(is_part, folders))):
                if path not in self.whole:
                    found[path] = (path.stat().st_ino, path.stat().st_mtime_ns)
        return found


def is_part(name: str) -> bool:
    """Tell whether a file or folder is what a killed writer may leave."""
    return name.startswith(".") and name.endswith(".part")


def load_all(study: Study) -> None:
    """Import the package for all forks, with `replacing` under study."""
    import tessella
    from tessella.io import atomic

    replacing = atomic.replacing

    @contextmanager
    def studied(path: Path, made_by: dict | None) -> Iterator[Path]:
        is_fork = study.kill_in(path)
        with replacing(path, made_by) as part:
            yield part
        if is_fork:
            os._exit(0)

    atomic.replacing = studied
    for module in pkgutil.walk_packages(tessella.__path__, "tessella."):
        if not module.name.endswith("__main__"):
            import_module(module.name)


def run_stage(command: list[str], study: Study, findings: Path) -> None:
    """Run a stage script under study in this process, which ends with it."""
    started = time.monotonic()
    sys.argv = command
    try:
        runpy.run_path(command[0], run_name="__main__")
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    seconds = round(time.monotonic() - started, 1)
    told = {"stage": Path(command[0]).stem, "seconds": seconds, "killed": study.killed}
    with findings.open("a") as file:
        file.write(json.dumps({**told, "faults": study.faults[:5]}) + "\n")
    os._exit(0)


def main() -> None:
    """Study one stage after the other."""
    jobs, results, findings = map(Path, sys.argv[1:])
    study = Study(results, Changes(results))
    load_all(study)
    for command in json.loads(jobs.read_text()):
        if not (child := os.fork()):
            run_stage(command, study, findings)
        os.waitpid(child, 0)


if __name__ == "__main__":
    main()

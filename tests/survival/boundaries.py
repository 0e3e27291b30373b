"""Kill stages at each change that they make; run as `python -m survival.boundaries`.

Arguments: a JSON file with command lines of stage scripts, to be run in the working directory; the
folder of results of a finished run in it; a file for what is found, one JSON object a line; and
`all`, or `few` for one file of a kind in each stage, and one kill before each change.

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

#: Stages that bring a product up to date, and which argument names it.
UPDATED = {"coadd_patch": "--sums"}


class Study:
    """One stage, which works until it writes; each write is then killed at each of its changes."""

    def __init__(self, results: Path, every: bool) -> None:
        from tessella.io.runs import run_of

        self.run, self.changes = run_of(results.resolve() / "any"), Changes(results)
        self.every = every
        self.faults: list[str] = []
        self.killed: dict[str, int] = {}
        self.others: dict[Path, tuple[int, int]] = {}
        self.aside: dict[Path, Path] = {}

    def set_aside(self, command: list[str]) -> None:
        """Hide what a stage would bring up to date, until it writes: its first run is studied."""
        argument = UPDATED.get(Path(command[0]).stem)
        if argument:
            path = Path(command[command.index(argument) + 1])
            self.aside[path] = path.rename(path.with_name(f".{path.name}.aside"))

    def at_write(self, path: Path) -> bool:
        """Kill before the first, second ... change that a write makes, until it comes to its end.

        Returns
        -------
        bool
            Whether this process is a fork, whose work ends with the write.
        """
        self.note(path)
        if not self.every and self.number_of_kind():
            return False
        if len(self.whole) == 1:  # a record, which differs from run to run
            if not (child := os.fork()):
                return True
            os.waitpid(child, 0)
            self.whole = {place: place.read_bytes() for place in self.whole}
        self.killed[self.name] = 0
        for start in (0, 1) if self.every else (0,):
            n, code = 0, -signal.SIGKILL
            while code == -signal.SIGKILL:
                n += 1
                older = (n + start) % 2 == 0
                found = "an older one" if older else "none"
                when = f"{self.name}, which found {found}, killed before change {n}"
                self.lay(older)
                if not (child := os.fork()):
                    self.changes.kill_before(n)
                    return True
                code = self.end_of(child, when)
                if code == -signal.SIGKILL:
                    if not (child := os.fork()):
                        return True
                    if self.end_of(child, f"{when}, rerun"):
                        self.faults.append(f"{when}: the rerun failed")
            self.killed[self.name] += n - 1
        return False

    def note(self, path: Path) -> None:
        """Keep what a file is that is about to be written again, and what else there is."""
        while self.aside:
            place, aside = self.aside.popitem()
            aside.rename(place)
        self.name = self.run.name_of(path)
        places = (self.run.folder / self.name, self.run.seal_path(self.name))
        self.whole = {place: place.read_bytes() for place in places if place.is_file()}
        self.others = self.all_others()

    def number_of_kind(self) -> int:
        """Count the files of this ending that were studied."""
        return sum(Path(name).suffix == Path(self.name).suffix for name in self.killed)

    def told(self, error: BaseException) -> None:
        """Hear of the error that a fork ends with."""

    def lay(self, older: bool) -> None:
        """Lay what a writer finds: nothing, or an older product with its seal."""
        from tessella.io.seals import write_seal

        for place in {*self.all_others(), *self.whole} - set(self.others):
            shutil.rmtree(place) if place.is_dir() else place.unlink(missing_ok=True)
        if older:
            path = self.run.folder / self.name
            path.write_bytes(b"older")
            if len(self.whole) == 2:
                write_seal(self.run, self.name, path, {"stage": "older"})

    def end_of(self, child: int, when: str) -> int:
        """Wait for the end of a fork, and look at what it leaves; return its exit code."""
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        found = {p: p.read_bytes() for p in self.whole if p.is_file()}
        if code == 0 and found != self.whole:
            self.faults.append(f"{when}: product or seal has other bytes")
        product = self.run.folder / self.name
        if found.get(product) not in (None, b"older", self.whole[product]):
            self.faults.append(f"{when}: half made")
        if code and self._is_accepted_wrongly(found.get(product)):
            self.faults.append(f"{when}: accepted by readers")
        if self.all_others(with_parts=code >= 0) != self.others:
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

    def all_others(self, with_parts: bool = True) -> dict[Path, tuple[int, int]]:
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
    def studied(path: Path, made_by: dict | None, n_threads: int = 1) -> Iterator[Path]:
        is_fork = study.at_write(path)
        with replacing(path, made_by, n_threads) as part:
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
    study.set_aside(command)
    try:
        runpy.run_path(command[0], run_name="__main__")
    except BaseException as error:
        study.told(error)
        traceback.print_exc()
        os._exit(1)
    seconds = round(time.monotonic() - started, 1)
    told = {"stage": Path(command[0]).stem, "seconds": seconds, "killed": study.killed}
    with findings.open("a") as file:
        file.write(json.dumps({**told, "faults": study.faults[:5]}) + "\n")
    os._exit(0)


def study_stages(study: Study, jobs: Path, findings: Path) -> None:
    """Study one stage after the other."""
    load_all(study)
    for command in json.loads(jobs.read_text()):
        if not (child := os.fork()):
            run_stage(command, study, findings)
        os.waitpid(child, 0)


if __name__ == "__main__":
    jobs, results, findings = map(Path, sys.argv[1:4])
    study_stages(Study(results, every=sys.argv[4] == "all"), jobs, findings)

"""Runs that are started, killed, resumed, and held against an unbroken one."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from finished_run import RUN, copy_of

TESTS = Path(__file__).parents[1]


def snakemake(*arguments: object) -> list[str]:
    """Command that starts a run."""
    return [sys.executable, "-m", "snakemake", *map(str, arguments)]


def resume(*arguments: object) -> list[str]:
    """Command that goes on with it."""
    return [sys.executable, "-m", "tessella", "resume", *map(str, arguments)]


def start(
    command: Sequence[str], work: Path, environment: Mapping[str, str] | None = None
) -> subprocess.Popen:
    """Start a process with a group of its own, which adds what it says to a file `said`."""
    with (work / "said").open("a") as said:
        return subprocess.Popen(
            command, cwd=work, env=environment, stdout=said, stderr=said, start_new_session=True
        )


def kill(process: subprocess.Popen) -> None:
    """Kill a process and all of its group."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def finish(command: Sequence[str], work: Path, seconds: float = 600) -> None:
    """Run a command that must end well."""
    process = start(command, work)
    try:
        code = process.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        kill(process)
        raise
    assert code == 0, (work / "said").read_text()[-3000:]


def jobs_of(process: subprocess.Popen) -> dict[str, psutil.Process]:
    """Stages that run below a Snakemake, by what they write their log to."""
    found = {}
    try:
        children = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return found
    for child in children:
        try:
            words = child.cmdline()
        except psutil.Error:
            continue
        script = next((word for word in words if "workflow_scripts/" in word), None)
        if script and Path(words[0]).name.startswith("python"):
            found[f"{Path(script).stem} {child.pid}"] = child
    return found


def products_of(work: Path) -> dict[str, str]:
    """Name and SHA-256 of all products of a finished run, each held against its seal.

    The manifest must name the same.
    """
    from tessella.io.manifest import MANIFEST, parse_manifest
    from tessella.io.runs import Run, run_of
    from tessella.io.seals import check, seals_of

    run = run_of(work / RUN / MANIFEST)
    assert isinstance(run, Run)
    seals = list(seals_of(run))
    for seal in seals:
        check(run, seal)
    found = {seal.name: seal.whole.sha256 for seal in seals}
    listed = parse_manifest((work / RUN / MANIFEST).read_bytes())
    whole = {name: digest.sha256 for name, digest in listed.items()}
    assert {**whole, MANIFEST: found[MANIFEST]} == found
    return found


def left_over(work: Path) -> list[Path]:
    """What killed processes left in a folder, under names that say so."""
    return [path for path in work.rglob(".*.part")]


def stage_commands(
    arguments: Sequence[str], work: Path, stages: Collection[str]
) -> dict[str, list[str]]:
    """Command line of one job of each of some stages, of a finished run."""
    command = snakemake("-n", "-p", "-F", *arguments)
    dry = subprocess.run(command, cwd=work, capture_output=True, text=True, check=True)
    found: dict[str, list[str]] = {}
    for line in (dry.stdout + dry.stderr).splitlines():
        match = re.search(r"python (\S*workflow_scripts/.*) > \S+ 2>&1$", line)
        if match:
            words = shlex.split(match[1])
            if "--ranks" in words:
                words[words.index("--ranks") + 1] = "1"
            found.setdefault(Path(words[0]).stem, words)
    return {stage: words for stage, words in found.items() if stage in stages}


def of_stages(work: Path, results: Path) -> dict[str, str]:
    """Environment in which stages give what they gave in a finished run, and find the tests."""
    from tessella import environment
    from tessella.io.runs import run_of
    from tessella.io.seals import seals_of

    run = run_of(work / results / "any")
    assert run is not None
    cpu_level = next(seals_of(run)).made_by["environment"]["cpu_level"]
    path = os.pathsep.join((str(TESTS), os.environ.get("PYTHONPATH", "")))
    return {**os.environ, **environment.variables(cpu_level), "PYTHONPATH": path}


@dataclass(frozen=True)
class Studied:
    """A finished run, and the jobs of it that are studied."""

    work: Path
    #: Folder of its results below the working directory.
    results: Path
    #: One command a stage.
    commands: dict[str, list[str]]
    #: Those whose products name the place they lie in: done first wherever the run is copied to.
    of_place: tuple[str, ...] = ()

    def of_one(self, number: int, n: int) -> str:
        """Commands of one of n studies side by side, as JSON."""
        return json.dumps(list(self.commands.values())[number::n])


def study_boundaries(studied: Studied, works: Sequence[Path], how: str) -> list[dict]:
    """Kill stages at each change they make, side by side in copies of a finished run."""
    studies = []
    for number, work in enumerate(works):
        copy_of(studied.work, work)
        environment = of_stages(work, studied.results)
        for stage in studied.of_place:
            words = [sys.executable, *studied.commands[stage]]
            subprocess.run(words, cwd=work, env=environment, check=True)
        (work / "jobs.json").write_text(studied.of_one(number, len(works)))
        words = ["-m", "survival.boundaries", "jobs.json", str(studied.results), "findings", how]
        studies.append(start([sys.executable, *words], work, environment))
    return findings_of(studies, works)


def study_disks(studied: Studied, works: Sequence[Path]) -> list[dict]:
    """Let stages write to disks that fail, on small file systems of their own."""
    copy = shlex.join(["cp", "-a", *map(str, studied.work.iterdir()), "."])
    again = [shlex.join([sys.executable, *studied.commands[name]]) for name in studied.of_place]
    studies = []
    for number, work in enumerate(works):
        (work / "jobs.json").write_text(studied.of_one(number, len(works)))
        (work / "disk").mkdir()
        words = ["-m", "survival.disks", work / "jobs.json", studied.results, work / "findings"]
        study = shlex.join([sys.executable, *map(str, words)])
        disk = shlex.quote(f"{work}/disk")
        mount = f"mount -t tmpfs -o size=1g tmpfs {disk}; cd {disk}"
        script = "; ".join((mount, copy, *again, study))
        environment = of_stages(studied.work, studied.results)
        studies.append(start(in_namespace(script), work, environment))
    return findings_of(studies, works)


def in_namespace(script: str) -> list[str]:
    """Command that runs a script of the shell where this user may mount."""
    return ["unshare", "-rm", "bash", "-euc", script]


def findings_of(studies: Sequence[subprocess.Popen], works: Sequence[Path]) -> list[dict]:
    """Wait for studies and read what they found."""
    found = []
    for work, study in zip(works, studies, strict=True):
        assert study.wait() == 0, (work / "said").read_text()[-3000:]
        found += [json.loads(line) for line in (work / "findings").read_text().splitlines()]
    return found


def wait_until(is_so, process: subprocess.Popen, seconds: float = 120) -> None:
    """Wait for something while a process lives."""
    deadline = time.monotonic() + seconds
    while not is_so():
        assert process.poll() is None, "the process ended first"
        assert time.monotonic() < deadline
        time.sleep(0.02)

"""Kill minimal runs in every way, finish each by one command, and hold it against an unbroken run.

    python benchmarks/kill_study.py FOLDER [--moments 50] [--seed 3]

FOLDER is for the runs (2 GB); no source may change meanwhile. The parts on disks need `unshare`.
The findings go to benchmarks/results/kill_study.json.
"""

import argparse
import json
import os
import platform
import random
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from finished_run import CONFIG, RUN, STAGES  # noqa: E402
from survival import runs  # noqa: E402

RESULTS = ROOT / "benchmarks/results/kill_study.json"
#: Without --rerun-incomplete or --unlock: `tessella resume` knows.
ARGUMENTS = [
    "--snakefile", str(ROOT / "Snakefile"), "--cores", "2", "--logger", "tessella",
    "--configfile", str(CONFIG),
]  # fmt: skip
_KILLS_A_RUN = 10
_LONGEST_S = 20.0


def whole_trees(folder: Path, expected: dict[str, str], n_moments: int, rng: random.Random) -> dict:
    """Kill all processes of runs at random moments, again and again, and let each run end."""
    kills, chains = [], []
    for first in range(0, n_moments, _KILLS_A_RUN):
        work = fresh(folder / f"moments{first}")
        for number in range(first, min(first + _KILLS_A_RUN, n_moments)):
            command = runs.snakemake if number == first else runs.resume
            after = rng.uniform(0, _LONGEST_S)
            run = runs.start(command(*ARGUMENTS), work)
            time.sleep(after)
            told = {"after_s": round(after, 2), "ended_before": run.poll() is not None}
            told["running"] = sorted(name.split()[0] for name in runs.jobs_of(run))
            told["locked"] = any((work / ".snakemake/locks").glob("*.lock"))
            if run.poll() is None:
                runs.kill(run)
            told["left_over"] = len(runs.left_over(work / RUN))
            kills.append(told)
        chains.append(ended(work, expected))
    return {"kills": kills, "runs": chains}


def single_jobs(folder: Path, expected: dict[str, str], rng: random.Random) -> dict:
    """Kill single jobs of a living run at random moments until it ends; then resume."""
    work, killed = fresh(folder / "jobs"), []
    run = runs.start(runs.snakemake(*ARGUMENTS, "--retries", 1, "--keep-going"), work)
    while run.poll() is None:
        time.sleep(rng.uniform(1, 8))
        jobs = runs.jobs_of(run)
        if jobs:
            name = rng.choice(sorted(jobs))
            try:
                jobs[name].send_signal(signal.SIGKILL)
                killed.append(name.split()[0])
            except OSError:
                continue
    return {"killed": killed, "exit_code": run.returncode, **ended(work, expected)}


def fresh(work: Path) -> Path:
    """Make an empty folder."""
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    return work


def ended(work: Path, expected: dict[str, str]) -> dict:
    """Finish a run by the one command, and compare."""
    begun = time.monotonic()
    runs.finish(runs.resume(*ARGUMENTS), work, 1200)
    return {
        "resumed_s": round(time.monotonic() - begun, 1),
        "products": len(expected),
        "equal": runs.products_of(work) == expected,
        "left_over": [str(path.relative_to(work)) for path in runs.left_over(work)],
    }


def jobs_of(finished: Path) -> runs.Studied:
    """One job of each stage of the finished run."""
    return runs.Studied(finished, RUN, runs.stage_commands(ARGUMENTS, finished, STAGES))


def boundaries(folder: Path, finished: Path) -> dict:
    """Kill each stage before each change that it makes, on none and on older outputs."""
    works = [fresh(folder / f"copy{number}") for number in range(2)]
    found = runs.study_boundaries(jobs_of(finished), works, "all")
    stages = {
        entry["stage"]: {"files": len(entry["killed"]), "kills": sum(entry["killed"].values())}
        for entry in found
    }
    return {
        "stages": dict(sorted(stages.items())),
        "kills": sum(stage["kills"] for stage in stages.values()),
        "faults": [fault for entry in found for fault in entry["faults"]],
    }


def small_disk(folder: Path, expected: dict[str, str]) -> dict:
    """Run on a disk that is too small, make it larger, and finish."""
    work = fresh(folder / "disk")
    (work / "mounted").mkdir()
    run, resume = (shlex.join(make(*ARGUMENTS)) for make in (runs.snakemake, runs.resume))
    script = f"""
    cd {work}/mounted; mount -t tmpfs -o size=100m tmpfs .; cd {work}/mounted
    if {run} > {work}/told 2>&1; then exit 3; fi
    mount -o remount,size=1g .
    {resume} > {work}/resumed 2>&1
    cp -a . {work}/kept
    """
    subprocess.run(runs.in_namespace(script), check=True)
    lines = (work / "told").read_text().splitlines()
    told = [lines[n + 1].strip() for n, line in enumerate(lines) if " FAILED " in line]
    return {
        "disk_mb": 100,
        "told": [line.replace(f"{work}/mounted/", "") for line in told],
        "equal": runs.products_of(work / "kept") == expected,
        "left_over": [str(path) for path in runs.left_over(work / "kept")],
    }


def failing_disks(folder: Path, finished: Path) -> dict:
    """Let the writes of each stage meet full, read-only and failing disks."""
    works = [fresh(folder / f"faults{number}") for number in range(2)]
    found = runs.study_disks(jobs_of(finished), works)
    return {
        "stages": {entry["stage"]: sum(entry["killed"].values()) for entry in found},
        "faults": [fault for entry in found for fault in entry["faults"]],
    }


def main() -> None:
    """Do all, and write down what was found after each part."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--moments", type=int, default=50)
    parser.add_argument("--seed", type=int, default=3)
    parser.add_argument("--parts", nargs="+", help="some parts only; the others' findings stay")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    finished = fresh(args.folder / "unbroken")
    begun = time.monotonic()
    runs.finish(runs.snakemake(*ARGUMENTS), finished, 1200)
    expected = runs.products_of(finished)
    found: dict = {
        "command": f"python benchmarks/kill_study.py FOLDER --seed {args.seed}",
        "machine": {"cores": os.cpu_count(), "system": platform.platform()},
        "unbroken": {"s": round(time.monotonic() - begun, 1), "products": len(expected)},
    }
    parts = {
        "failing_disks": lambda: failing_disks(args.folder, finished),
        "small_disk": lambda: small_disk(args.folder, expected),
        "boundaries": lambda: boundaries(args.folder, finished),
        "single_jobs": lambda: single_jobs(args.folder, expected, rng),
        "whole_trees": lambda: whole_trees(args.folder, expected, args.moments, rng),
    }
    if args.parts:
        parts = {name: parts[name] for name in args.parts}
        found = {**json.loads(RESULTS.read_text()), **found}
    for name, part in parts.items():
        found[name] = part()
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

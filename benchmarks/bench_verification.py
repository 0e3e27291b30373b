"""What share of each stage's CPU time goes into checking what it reads, and into sealing.

Runs one job of every rule again, on a copy of the run that shares its files (hard links), and
times within it `tessella.io.seals.sha256` and `write_seal`. In the folder where the run was
started, with arguments of snakemake, for example

    python benchmarks/bench_verification.py results/demo --configfile config/demo.yaml

prints a table and writes benchmarks/results/verification.json. It needs a finished, sealed run.
"""

import argparse
import json
import os
import platform
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import tessella

#: More than this of a stage's CPU time is too much.
ALLOWED = 0.03
_COMMAND = re.compile(r"^Shell command: .*?python (\S+/(\w+)\.py .*?) > \S+ 2>&1$", re.MULTILINE)


def commands_of(work: Path, arguments: list[str]) -> dict[str, list[str]]:
    """Return the command line of the first job of every rule, in the order in which they run."""
    snakemake = [sys.executable, "-m", "snakemake", *arguments, "--cores", "1"]
    asked = ["--directory", str(work), "--forceall", "--dry-run", "--printshellcmds"]
    done = subprocess.run([*snakemake, *asked], capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    found: dict[str, list[str]] = {}
    for command, rule in _COMMAND.findall(done.stdout + done.stderr):
        found.setdefault(rule, shlex.split(command))
    return found


def measure(work: Path, command: list[str]) -> dict[str, float]:
    """Run a stage and return its CPU time and the parts of it [s]."""
    if Path(command[0]).stem == "coadd_patch":  # it would find that there is nothing to do
        (work / command[command.index("--sums") + 1]).unlink()
    told = work / "told.json"
    probe = [sys.executable, __file__, "--probe", str(told), *command]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    subprocess.run(probe, cwd=work, check=True, stderr=subprocess.DEVNULL, env=os.environ | threads)
    return json.loads(told.read_text())


def probe(told: str, script: str, *arguments: str) -> None:
    """Be a stage, and tell what went into reading and writing seals and hashing."""
    from tessella.io import seals

    spent: Counter[str] = Counter()

    def timed(what, function):
        def wrapper(*args, **kwargs):
            start = time.process_time()
            try:
                return function(*args, **kwargs)
            finally:
                spent[what] += time.process_time() - start

        return wrapper

    seals.sha256 = timed("checking_s", seals.sha256)
    seals.write_seal = timed("sealing_s", seals.write_seal)
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")
    Path(told).write_text(json.dumps({"cpu_s": time.process_time(), **spent}))


def row(rule: str, times: list[dict[str, float]]) -> dict[str, float | str]:
    """Return the figures of a stage: the medians of its repetitions."""
    cpu, checking, sealing = (
        sorted(one.get(key, 0.0) for one in times)[len(times) // 2]
        for key in ("cpu_s", "checking_s", "sealing_s")
    )
    shares = {"checking": round(checking / cpu, 4), "sealing": round(sealing / cpu, 4)}
    return {"stage": rule, "cpu_s": round(cpu, 2), **shares}


def main() -> None:
    """Print the table and write it; exit with 1 if a stage spends too much on checking."""
    if sys.argv[1:2] == ["--probe"]:
        return probe(*sys.argv[2:])
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, help="folder of a finished run")
    parser.add_argument("--repeat", type=int, default=3, help="times that each stage is run")
    args, more = parser.parse_known_args()
    rows = []
    with tempfile.TemporaryDirectory(dir=".") as folder:
        work = Path(folder).resolve()
        shutil.copytree(args.results, work / args.results, copy_function=os.link)
        for rule, command in commands_of(work, more).items():
            rows.append(row(rule, [measure(work, command) for _ in range(args.repeat)]))
            sys.stdout.write("  ".join(f"{key} {value}" for key, value in rows[-1].items()) + "\n")
    machine = {
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "sha_instructions": "sha_ni" in Path("/proc/cpuinfo").read_text(),
    }
    content = {"machine": machine, "software": f"tessella {tessella.__version__}"}
    content |= {"run": args.results.name, "allowed": ALLOWED, "rows": rows}
    out = Path(__file__).parent / "results" / "verification.json"
    out.write_text(json.dumps(content, indent=1) + "\n")
    sys.exit(any(row["checking"] > ALLOWED for row in rows))


if __name__ == "__main__":
    main()

"""Workflows without pixels: dry runs, and runs whose every stage only writes names into files."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

SMALL_TABLE = """\
RA DEC PA BANDPASS MA_TABLE_NUMBER DURATION PLAN PASS SEGMENT OBSERVATION VISIT EXPOSURE
12.1080000 85.2550000 0.0 F106 3 120.0 1 1 1 1 1 1
12.1238833 85.2555861 0.0 F106 3 120.0 1 1 1 1 1 2
12.1080000 85.2550000 0.0 F158 3 120.0 1 1 1 2 1 1
"""

STUB = '''\
"""Stands for any stage: writes every file below results/ that is not there yet."""
import os
import sys
import time
from pathlib import Path

words = sys.argv
if os.environ.get("STUB_FAILS", "nothing") in " ".join(words):
    sys.exit("some words\\nERROR: level1/x_uncal.asdf: truncated; fetch it again")
if Path(words[0]).stem == os.environ.get("STUB_SLEEPS"):
    Path("asleep").touch()
    for _ in range(300):
        time.sleep(0 if Path("awake").exists() else 0.1)
for word in words:
    if word.startswith("results/") and not Path(word).exists():
        Path(word).write_text('{"detectors": []}' if word.endswith(".json") else word)
        if word.endswith(".l0"):
            Path(word + ".json").write_text("{}")
'''


@dataclass(frozen=True)
class Job:
    """A job of a dry run."""

    rule: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def snakemake(*args, cwd, root=ROOT, **environment):
    """Run Snakemake on the workflow of a clone, from any working directory."""
    return subprocess.run(
        [sys.executable, "-m", "snakemake", "-s", str(root / "Snakefile"), *map(str, args)],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def jobs_of(text):
    """Read the jobs from the output of a dry run."""
    jobs = []
    for block in re.split(r"^(?:local)?rule ", text, flags=re.MULTILINE)[1:]:
        files = {
            key: tuple(found.group(1).split(", ")) if found else ()
            for key in ("input", "output")
            for found in [re.search(rf"^    {key}: (.*)$", block, flags=re.MULTILINE)]
        }
        jobs.append(Job(block.split(":")[0], files["input"], files["output"]))
    return jobs


def listed(text):
    """Read the rules from the list that our logger prints in a dry run."""
    return {line.split()[0] for line in text.splitlines() if line.startswith("  ")}


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """Write an overlay of three exposures in two filters."""
    folder = tmp_path_factory.mktemp("small")
    (folder / "exposures.ecsv").write_text(SMALL_TABLE)
    overlay = folder / "small.yaml"
    demo = (ROOT / "config/demo.yaml").read_text().replace("run: demo", "run: small")
    overlay.write_text(demo.replace("config/exposures/demo.ecsv", f"{folder}/exposures.ecsv"))
    return overlay


@pytest.fixture(scope="session")
def stub_clone(tmp_path_factory):
    """Make a clone whose path has a space in it, with stubs in place of the scripts."""
    clone = tmp_path_factory.mktemp("a clone")
    for name in ("Snakefile", "rules", "config", "envs", "profiles"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, clone / name)
    (clone / "data").symlink_to(ROOT / "data")
    (clone / "workflow_scripts").mkdir()
    for script in (ROOT / "workflow_scripts").glob("*.py"):
        (clone / "workflow_scripts" / script.name).write_text(STUB)
    return clone


@pytest.fixture(scope="session")
def finished(stub_clone, small, tmp_path_factory):
    """Run the whole workflow with stubs; return the working directory and what was said."""
    work = tmp_path_factory.mktemp("work")
    done = snakemake(*local(stub_clone, small), "--cores", 2, cwd=work, root=stub_clone)
    assert done.returncode == 0, done.stdout + done.stderr
    return work, done.stderr


def local(clone, config):
    """Return the arguments of a run on this machine."""
    return "--profile", clone / "profiles/local", "--configfile", config

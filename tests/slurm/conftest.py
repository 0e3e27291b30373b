"""A cluster for all tests here, and a workflow of stubs whose stages do what a test says."""

import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from workflow.conftest import ROOT, finished, small
from workflow.conftest import stub_clone as plain_clone

from .cluster import Cluster, missing

# Fixtures of the workflow's tests: a run of all stages in seconds.
__all__ = ["finished", "plain_clone", "small"]

#: What is the loopback cluster's own: no accounting, and tests cannot wait for rare questions.
SITE = """\
slurm-status-command: squeue
slurm-init-seconds-before-status-checks: 1
max-status-checks-per-second: 10
latency-wait: 10
"""


#: Stages of several ranks.
RANKED = ("find_outliers", "coadd_patch")


def site(**more):
    """Return the site's own file: ranks have two nodes, and start as the profile says."""
    resources = yaml.safe_load((ROOT / "profiles/slurm/profile.yaml").read_text())["set-resources"]
    for stage in RANKED:
        resources[stage] = {**resources[stage], "nodes": 2}
    return SITE + yaml.safe_dump({"set-resources": resources, **more})


#: Goes before the stub of a stage: counts its executions, and does what a test has left for it.
BEHAVIOUR = """\
import os
import sys
import time
from pathlib import Path

stage, rank = Path(sys.argv[0]).stem, os.environ.get("PMI_RANK", "0")
executions = Path("executions" if rank == "0" else "executions-" + rank)
with executions.open("a") as file:
    file.write(stage + chr(10))
attempt = executions.read_text().split().count(stage)
hook = Path(stage + ".hook")
if hook.exists():
    exec(hook.read_text())
"""

STARS = "results/small/references/reference_stars.parquet"
SUMS = "results/small/level3/*_f106_sums.h5"


@pytest.fixture(scope="session", autouse=True)
def programs():
    """Skip all tests where Slurm is not installed."""
    if missing():
        pytest.skip(f"no {', '.join(missing())}: install slurm-wlm and munge (Debian)")


@pytest.fixture(scope="session")
def cluster(programs):
    """Three nodes of two CPUs each."""
    with Cluster() as booted:
        yield booted


@pytest.fixture(scope="session")
def stub_clone(plain_clone):
    """Have the stages of a clone do what tests say."""
    for script in (plain_clone / "workflow_scripts").glob("*.py"):
        script.write_text(BEHAVIOUR + script.read_text())
    return plain_clone


@dataclass(frozen=True)
class Run:
    """A Snakemake that works, or has."""

    process: subprocess.Popen
    file: Path

    @property
    def said(self):
        """What it has said until now."""
        return self.file.read_text()

    def end(self):
        """Wait for its end, and return its exit code."""
        return self.process.wait(300)


@dataclass(frozen=True)
class Work:
    """A working folder whose run is complete but for what a test takes away."""

    folder: Path
    clone: Path
    config: Path
    cluster: Cluster

    def arguments(self, *more):
        """Return the arguments of Snakemake for a run through the profile."""
        files = {
            "--configfile": self.config,
            "--snakefile": self.clone / "Snakefile",
            "--profile": self.clone / "profiles/slurm",
        }
        words = [str(word) for pair in files.items() for word in pair]
        return [*words, "--profile", "site.yaml", *more]

    @contextmanager
    def start(self, *more, program=("snakemake",)):
        """Start a run, of Snakemake unless said otherwise; it does not outlive the block."""
        said = self.folder / f"said-{len(list(self.folder.glob('said-*')))}"
        with said.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, "-m", *program, *self.arguments(*more)],
                cwd=self.folder,
                env=self.cluster.environment,
                stdout=file,
                stderr=subprocess.STDOUT,
            )
        run = Run(process, said)
        try:
            yield run
        finally:
            process.kill()
            process.wait()

    def run(self, *more, program=("snakemake",)):
        """Run to the end; return the exit code and what was said."""
        with self.start(*more, program=program) as run:
            return run.end(), run.said

    def lose(self, pattern):
        """Remove one product, and return its name."""
        (path,) = self.folder.glob(pattern)
        path.unlink()
        return str(path.relative_to(self.folder))

    def behave(self, stage, code):
        """Have a stage do something first; `attempt` is the number of its execution."""
        (self.folder / f"{stage}.hook").write_text(code)

    def executions(self):
        """Return the stages that were executed, as often as they were."""
        file = self.folder / "executions"
        return file.read_text().split() if file.exists() else []

    def status(self):
        """Return what ``tessella status`` shows."""
        command = [sys.executable, "-m", "tessella", "status", "results/small"]
        return subprocess.run(command, cwd=self.folder, capture_output=True, text=True).stdout


@pytest.fixture
def work(cluster, finished, stub_clone, small, tmp_path):
    """Copy a complete run of stubs; nothing of the test may be left on the cluster."""
    cluster.mark()
    folder = shutil.copytree(finished[0], tmp_path / "work")
    (folder / "site.yaml").write_text(site())
    for file in folder.glob("executions*"):
        file.unlink()
    yield Work(folder, stub_clone, small, cluster)
    cluster.rest()

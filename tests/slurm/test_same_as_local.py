"""A run through Slurm makes what a run on this machine makes, to the last bit.

The demo, about ten minutes; `TESSELLA_SLURM_CONFIG=minimal` takes a smaller one.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from run_products import assert_same
from workflow.conftest import ROOT

from .cluster import Cluster, mentioning
from .conftest import RANKED, site

pytestmark = pytest.mark.slurm

NAME = os.environ.get("TESSELLA_SLURM_CONFIG", "demo")


@dataclass(frozen=True)
class Finished:
    """A finished run, and what is known of the cluster that it ran on."""

    products: Path
    #: Jobs of several ranks.
    ranked: list[str]
    cluster: Cluster


def workflow(folder, profile, *more, env=None):
    """Run the whole workflow in a folder."""
    command = [
        sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"),
        "--directory", str(folder), "--configfile", str(ROOT / f"config/{NAME}.yaml"),
        "--profile", str(ROOT / "profiles" / profile), *more,
    ]  # fmt: skip
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-6000:]
    return folder / "results" / NAME


@pytest.fixture(scope="module")
def on_slurm(tmp_path_factory):
    folder = tmp_path_factory.mktemp("on slurm")
    (folder / "site.yaml").write_text(site())
    with Cluster() as cluster:
        more = ("--profile", str(folder / "site.yaml"))
        products = workflow(folder, "slurm", *more, env=cluster.environment)
        fields = cluster.asked("%k %D %C %T")
        cluster.rest()
    ranked = [one for one in fields if any(stage in one for stage in RANKED)]
    return Finished(products, ranked, cluster)


def test_products_equal_those_of_a_local_run(on_slurm, tmp_path):
    assert_same(on_slurm.products, workflow(tmp_path, "local"))


def test_jobs_of_several_ranks_ran_as_two_on_two_nodes(on_slurm):
    assert all(any(stage in job for job in on_slurm.ranked) for stage in RANKED)
    for job in on_slurm.ranked:
        assert job.split()[1:] == ["2", "2", "COMPLETED"]


def test_nothing_is_left_of_the_cluster(on_slurm):
    assert not on_slurm.cluster.folder.exists()
    assert mentioning(on_slurm.cluster.folder) == []

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
from .conftest import site

pytestmark = pytest.mark.slurm

NAME = os.environ.get("TESSELLA_SLURM_CONFIG", "demo")


@dataclass(frozen=True)
class Finished:
    """A finished run, and what is known of the cluster that it ran on."""

    products: Path
    coadds: list[str]
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
    return Finished(products, [one for one in fields if "coadd_tile" in one], cluster)


def test_products_equal_those_of_a_local_run(on_slurm, tmp_path):
    assert_same(on_slurm.products, workflow(tmp_path, "local"))


def test_each_coadd_ran_as_two_ranks_on_two_nodes(on_slurm):
    assert on_slurm.coadds
    for job in on_slurm.coadds:
        assert job.split()[1:] == ["2", "2", "COMPLETED"]


def test_nothing_is_left_of_the_cluster(on_slurm):
    assert not on_slurm.cluster.folder.exists()
    assert mentioning(on_slurm.cluster.folder) == []

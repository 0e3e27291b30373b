"""A cluster for all tests here, and a workflow of stubs whose stages do what a test says."""

import os
import shutil
import subprocess
import sys

import pytest
from workflow.conftest import ROOT, finished, small, snakemake, stub_clone

from .cluster import Cluster

__all__ = ["finished", "small", "snakemake", "stub_clone"]

SITE = """\
slurm-status-command: squeue
slurm-init-seconds-before-status-checks: 1
latency-wait: 10
set-resources:
  coadd_tile: {mpi: "srun --mpi=pmi2", tasks: 2, nodes: 2}
"""


@pytest.fixture(scope="session")
def cluster():
    with Cluster() as booted:
        yield booted

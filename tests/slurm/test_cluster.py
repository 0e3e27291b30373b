"""The throw-away cluster itself: it leaves nothing behind, however it ends."""

import subprocess
import sys
from pathlib import Path

import pytest

from .cluster import mentioning, wait_until

pytestmark = pytest.mark.slurm

BOOT = """
import sys, time
sys.path.insert(0, {here!r})
from cluster import Cluster
with Cluster(1) as cluster:
    cluster.ask("sbatch", "--wrap", "sleep 300", "--output", "/dev/null")
    print(cluster.folder, flush=True)
    time.sleep(300)
"""


def test_cluster_goes_down_when_its_process_is_killed():
    code = BOOT.format(here=str(Path(__file__).parent))
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as boot:
        folder = Path(boot.stdout.readline().strip())
        wait_until(lambda: mentioning(folder), 10, "the cluster is up")
        boot.kill()
    wait_until(lambda: not folder.exists() and not mentioning(folder), 30, "all of it is gone")

"""Jobs of a packed environment run from their node's own copy, which is unpacked once."""

import json
import subprocess
import sys

import pytest
from workflow.conftest import ROOT

from .conftest import SUMS, site

pytestmark = pytest.mark.slurm

#: Each node of the loopback cluster unpacks in a folder of its own.
SCRATCH = "{folder}/scratch/$SLURMD_NODENAME"

#: Writes which files of Python a rank of a stage has loaded.
TELL = """
import json, mpi4py.MPI, numpy, tessella
loaded = {getattr(module, "__file__", None) or "" for module in sys.modules.values()}
files = sorted(loaded | {sys.executable})
Path("loaded-" + stage + os.environ["SLURMD_NODENAME"]).write_text(json.dumps(files))
"""


@pytest.fixture(scope="module")
def pack(tmp_path_factory):
    """Pack this environment; Snakemake's job step cannot take an interpreter below a space."""
    folder = tmp_path_factory.mktemp("shared-disk")
    script, target = ROOT / "profiles/slurm/pack.py", folder / "env.tar"
    scratch = SCRATCH.format(folder=folder)
    subprocess.run([sys.executable, script, target, "--scratch", scratch], check=True)
    yield folder
    subprocess.run(["rm", "-r", folder], check=True)  # gigabytes


def test_jobs_run_from_the_copy_of_their_node(work, pack):
    shared = ["persistence", "input-output", "sources", "source-cache", "storage-local-copies"]
    lines = {"precommand": f". {pack}/env.sh", "shared-fs-usage": shared}
    (work.folder / "site.yaml").write_text(site(**lines))
    for stage in ("coadd_patch", "detect_sources"):
        work.behave(stage, TELL)
    # Both are named: what is missing in the middle of a finished run is not made again unasked.
    code, said = work.run(work.lose(SUMS), work.lose("results/small/level4/*_segm.asdf"))
    assert code == 0, said
    told = {path.name: json.loads(path.read_text()) for path in work.folder.glob("loaded-*")}
    # One for the serial stage, one for each rank of the coadd.
    assert len(told) == 3
    # The nodes of a real cluster have the same path: ranks are started with that of the first.
    for files in told.values():
        elsewhere = [file for file in files if file and not file.startswith(f"{pack}/scratch/n")]
        assert [file for file in elsewhere if "workflow_scripts" not in file] == []
    for node in ("n1", "n2"):
        copies = [path for path in (pack / "scratch" / node).iterdir() if path.is_dir()]
        assert len(copies) == 1

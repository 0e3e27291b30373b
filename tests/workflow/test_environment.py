"""Jobs run in the environment of the configured level, whatever the user's and their threads."""

import json
import shutil

import pytest

from tessella.environment import check_host, variables
from tessella.errors import ConfigError

from .conftest import local, snakemake

TELL = '\nimport json\nPath("seen.json").write_text(json.dumps(dict(os.environ)))\n'


@pytest.fixture(scope="module")
def telling_clone(stub_clone, tmp_path_factory):
    """A clone whose calibration tells its environment."""
    clone = tmp_path_factory.mktemp("telling") / "clone"
    shutil.copytree(stub_clone, clone, symlinks=True)
    script = clone / "workflow_scripts/calibrate_exposure.py"
    script.write_text(script.read_text() + TELL)
    return clone


@pytest.mark.parametrize("cpu_level", ["x86-64-v2", "x86-64-v3", "native"])
def test_jobs_see_the_variables_of_the_level_alone(telling_clone, small, tmp_path, cpu_level):
    try:
        check_host(cpu_level)
    except ConfigError as error:
        pytest.skip(str(error))
    done = snakemake(
        "--until", "calibrate_exposure", "--set-threads", "calibrate_exposure=2", "--cores", 2,
        "--config", f"environment={{cpu_level: {cpu_level}}}", *local(telling_clone, small),
        cwd=tmp_path,
        root=telling_clone,
        OPENBLAS_CORETYPE="SkylakeX",
        NUMBA_CPU_NAME="generic",
        GLIBC_TUNABLES="glibc.cpu.hwcaps=-FMA",
        OMP_NUM_THREADS="4",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    expected = variables(cpu_level)
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert {name: seen[name] for name in expected} == expected

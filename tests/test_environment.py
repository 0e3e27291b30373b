"""A level holds every library; hosts of one level agree to the last bit, two levels nearly."""

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from tessella.environment import NATIVE, CpuLevel, check_host, exports, record, variables
from tessella.errors import ConfigError

V2, V3 = "x86-64-v2", "x86-64-v3"
FLAGS_V2 = "fpu sse sse2 cx16 lahf_lm popcnt pni ssse3 sse4_1 sse4_2"

#: An environment that asks for something else.
CONTRARY = {
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-FMA",
    "NPY_DISABLE_CPU_FEATURES": "X86_V3",
    "NUMBA_CPU_NAME": "generic",
    "NUMBA_CPU_FEATURES": "+sse3",
    "OPENBLAS_CORETYPE": "Prescott",
    "OPENBLAS_NUM_THREADS": "2",
    "OMP_NUM_THREADS": "2",
    "ARROW_USER_SIMD_LEVEL": "NONE",
    "PYTHONHASHSEED": "7",
}

SEEN = """
import hashlib, ctypes, json, sys
import numba, pyarrow, scipy.linalg
from tessella.environment import record
from numba.core.registry import cpu_target
libm = ctypes.CDLL("libm.so.6")
libm.exp.restype, libm.exp.argtypes = ctypes.c_double, [ctypes.c_double]
exponentials = "".join(libm.exp(k / 977).hex() for k in range(20000))
print(json.dumps({
    "record": record(),
    "arrow": pyarrow.runtime_info().simd_level,
    "numba": cpu_target.target_context.codegen().magic_tuple(),
    "libm": hashlib.sha256(exponentials.encode()).hexdigest(),
    "hash": hash("a word"),
}))
"""

COMPUTED = """
import sys
import numpy as np, scipy.linalg
from tessella.coadd.drizzle_kernel import drizzle_alone
from tessella.instrument.read_patterns import read_patterns
from tessella.ramps.likelihood import fit_slopes
from tessella.ramps.timing import difference_timing
rng = np.random.default_rng(1)
pattern = read_patterns()[3]
steps = rng.integers(0, 400, (len(pattern.reads), 32, 32))
maps = np.full((32, 32), 2, np.float32), np.full((32, 32), 6, np.float32)
several = np.array([len(reads) > 1 for reads in pattern.reads])
timing = difference_timing(pattern.reads, pattern.frame_time)
ramp = steps.cumsum(axis=0).astype(float)
slopes = fit_slopes(ramp, np.zeros(ramp.shape, np.uint8), *maps, timing, several, 4.5)
y, x = np.mgrid[:33, :33].astype(float)
corners = np.stack([2.0 * x - 0.3 * y + 12.0, 0.3 * x + 2.0 * y + 5.0], axis=-1)
drizzled, weight = drizzle_alone(
    rng.normal(3.0, 0.1, (32, 32)), rng.uniform(1.0, 2.0, (32, 32)), corners, (0, 90, 0, 90), 1, 0.9
)
matrix = rng.integers(-9, 10, (300, 300)) + 300.0 * np.eye(300)
np.savez(
    sys.argv[1],
    slope=slopes.slope, var=slopes.var_poisson, chisq=slopes.chisq,
    drizzled=drizzled, weight=weight,
    exponential=np.exp(np.arange(-5000, 5000) / 128), sine=np.sin(np.arange(5000) / 64),
    matrix=matrix, right=matrix.sum(axis=1),
    solved=np.linalg.solve(matrix, matrix.sum(axis=1)),
    factor=scipy.linalg.solve(matrix, matrix.sum(axis=1)),
)
"""


def lacks(cpu_level):
    """Return what this host lacks of a level, as the reason of a skip."""
    try:
        check_host(cpu_level)
    except ConfigError as error:
        return str(error)
    return ""


needs_v3 = pytest.mark.skipif(bool(lacks(V3)), reason=lacks(V3) or "none")


def process(cpu_level, code, *arguments, **ambient):
    """Run code in a process of a level (None: started by hand), called with an environment."""
    ambient = {"PYTHONPATH": str(Path(__file__).parent)} | ambient
    command = shlex.join([sys.executable, "-W", "error", "-c", code, *map(str, arguments)])
    command = command if cpu_level is None else f"{exports(cpu_level)} {command}"
    done = subprocess.run(
        ["bash", "-c", command],
        env={**os.environ, **ambient},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def seen(cpu_level, **ambient):
    return json.loads(process(cpu_level, SEEN, **ambient))


def computed(cpu_level, folder, **ambient):
    path = folder / "computed.npz"
    process(cpu_level, COMPUTED, path, NUMBA_CACHE_DIR=str(folder), **ambient)
    with np.load(path) as file:
        return dict(file)


def cpuinfo(folder, flags):
    path = folder / "cpuinfo"
    path.write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: none\n")
    return path


def test_host_that_has_a_level_is_taken(tmp_path):
    check_host(V2, cpuinfo(tmp_path, FLAGS_V2))


def test_host_without_a_level_is_told_what_it_lacks_and_what_to_set(tmp_path):
    with pytest.raises(ConfigError) as caught:
        check_host(V3, cpuinfo(tmp_path, FLAGS_V2 + " avx bmi1 bmi2 f16c fma abm movbe xsave"))
    (line,) = str(caught.value).splitlines()
    assert "'environment.cpu_level' is 'x86-64-v3'" in line
    assert "lacks avx2;" in line
    assert "cpu_level: x86-64-v2 or cpu_level: native" in line


def test_host_of_another_kind_can_only_be_native(tmp_path):
    check_host(NATIVE, tmp_path / "no cpuinfo")
    with pytest.raises(ConfigError, match="is no x86-64 under Linux; set cpu_level: native"):
        check_host(V2, tmp_path / "no cpuinfo")


@pytest.mark.parametrize("cpu_level", get_args(CpuLevel))
def test_every_level_means_one_thread_and_a_fixed_order(cpu_level):
    held = variables(cpu_level)
    assert {held[f"{name}_NUM_THREADS"] for name in ("OMP", "OPENBLAS", "NUMBA")} == {"1"}
    assert held["PYTHONHASHSEED"] == "0"


def test_record_is_plain_and_always_the_same():
    first = record()
    first["packages"].clear()
    assert json.loads(json.dumps(record())) == record() != first


@needs_v3
@pytest.mark.parametrize("cpu_level", [V2, V3])
def test_level_holds_against_an_environment_that_asks_for_something_else(cpu_level):
    plain = seen(cpu_level)
    assert plain["record"]["cpu_level"] == cpu_level
    assert plain["record"]["threads"] == 1
    assert seen(cpu_level, **CONTRARY) == plain


@needs_v3
def test_levels_differ_in_every_library():
    low, high = seen(V2), seen(V3)
    assert low["record"]["in_effect"] == {"numpy": "X86_V2", "openblas": "Nehalem", "numba": V2}
    assert high["record"]["in_effect"] == {"numpy": "X86_V3", "openblas": "Haswell", "numba": V3}
    assert (low["arrow"], high["arrow"]) == ("sse4_2", "avx2")
    assert low["libm"] != high["libm"]
    assert low["numba"] != high["numba"]
    assert low["hash"] == high["hash"]


def test_process_started_by_hand_is_native():
    code = "from tessella.environment import record; print(record()['cpu_level'])"
    assert process(None, code, OPENBLAS_CORETYPE="").strip() == NATIVE


@needs_v3
def test_variables_set_too_late_are_not_believed():
    code = (
        "import os, numpy\nfrom tessella.environment import record, variables\n"
        "os.environ.update(variables('x86-64-v3'))\nprint(record()['cpu_level'])"
    )
    assert process(NATIVE, code).strip() == NATIVE


@needs_v3
@pytest.mark.parametrize("name", ["OPENBLAS_CORETYPE", "GLIBC_TUNABLES", "OPENBLAS_NUM_THREADS"])
def test_level_that_holds_in_part_is_native(name):
    code = (
        "import os, sys\nfrom tessella.environment import variables\n"
        f"changed = variables('x86-64-v3') | {{{name!r}: {CONTRARY[name]!r}}}\n"
        "os.execve(sys.executable, [sys.executable, '-c', sys.argv[1]], os.environ | changed)"
    )
    show = "from tessella.environment import record; print(record()['cpu_level'])"
    assert process(None, code, show).strip() == NATIVE


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("levels")
    return {
        (level, name): computed(level, folder, **ambient)
        for level in (V2, V3)
        for name, ambient in (("plain", {}), ("contrary", CONTRARY))
    }


@needs_v3
@pytest.mark.parametrize("cpu_level", [V2, V3])
def test_hosts_of_a_level_agree_to_the_last_bit(results, cpu_level):
    plain, contrary = results[cpu_level, "plain"], results[cpu_level, "contrary"]
    assert [name for name in plain if plain[name].tobytes() != contrary[name].tobytes()] == []


@needs_v3
def test_levels_agree_within_the_error_of_their_arithmetic(results):
    low, high = results[V2, "plain"], results[V3, "plain"]
    # Additions and products in an order of their own: no level may change them.
    for name in ("slope", "var", "chisq", "drizzled", "weight"):
        assert np.array_equal(low[name], high[name], equal_nan=True)
    # numpy's and libm's functions are within 4 units of the last place of the true value.
    for name in ("exponential", "sine"):
        assert np.all(np.abs(low[name] - high[name]) <= 8 * np.spacing(np.abs(high[name])))
    # Each solution is within n cond(A) eps of the true one (Higham 2002, eq. 9.23 with the
    # growth of pivots of a dominant diagonal, 2).
    matrix = low["matrix"]
    bound = 2 * 2 * len(matrix) * np.linalg.cond(matrix) * np.finfo(float).eps
    for name in ("solved", "factor"):
        assert not np.array_equal(low[name], high[name])
        assert np.linalg.norm(low[name] - high[name]) <= bound * np.linalg.norm(high[name])


@needs_v3
def test_machine_code_of_one_level_is_not_taken_at_another(tmp_path):
    (tmp_path / "doubled.py").write_text(
        "from tessella.compiled import kernel\n\n@kernel\ndef doubled(x):\n    return x + x\n\n"
        "doubled(1.0)\nprint(sum(doubled.stats.cache_hits.values()))\n"
    )
    kept = {"PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "machine code")}
    hits = [process(level, "import doubled", **kept).strip() for level in (V3, V2, V3, V2)]
    assert hits == ["0", "0", "1", "1"]

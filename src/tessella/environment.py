"""What the bits of a result depend on besides its inputs: the CPU's features, threads, versions.

Libraries choose their machine code by the CPU they find. A *CPU level* (a micro-architecture level
of the x86-64 psABI) has them all choose what every CPU of that level can run, so that hosts agree.
"""

import copy
import ctypes
import os
import platform
import re
import shlex
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, Literal

from tessella.errors import ConfigError

#: What may be asked for; ``native`` is whatever the host does, outside the promise of equal bits.
CpuLevel = Literal["x86-64-v2", "x86-64-v3", "native"]
NATIVE = "native"

_V2_FLAGS = frozenset({"cx16", "lahf_lm", "popcnt", "pni", "ssse3", "sse4_1", "sse4_2"})
_V3_FLAGS = _V2_FLAGS | {"avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "abm", "movbe", "xsave"}


@dataclass(frozen=True)
class _Level:
    """How each library is held at a level; `flags` is what Linux calls the features it takes."""

    flags: frozenset[str]
    numpy: str
    openblas: str
    arrow: str
    #: glibc picks the variants of exp, sin ... of its libm by FMA and AVX2 alone.
    glibc: str


_LEVELS = {
    "x86-64-v2": _Level(_V2_FLAGS, "X86_V2", "Nehalem", "SSE4_2", "glibc.cpu.hwcaps=-AVX2,-FMA"),
    "x86-64-v3": _Level(_V3_FLAGS, "X86_V3", "Haswell", "AVX2", ""),
}

#: The same at every level: no library splits a sum among threads, nothing hangs on the order of
#: a set or on the locale's encoding.
_ALWAYS = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "NUMBA_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
    "PYTHONUTF8": "1",
}

#: Packages that make numbers.
_PACKAGES = (
    "numpy", "scipy", "numba", "llvmlite", "astropy", "pyerfa", "gwcs", "photutils", "galsim",
    "pyarrow",
)  # fmt: skip


def variables(cpu_level: str) -> dict[str, str]:
    """Return the environment variables that hold a process at a CPU level.

    They must be there when a process starts. An empty one undoes what the user's may say.

    Examples
    --------
    >>> variables("x86-64-v3")["OPENBLAS_CORETYPE"], variables("native").get("OPENBLAS_CORETYPE")
    ('Haswell', None)
    """
    if cpu_level == NATIVE:
        return dict(_ALWAYS)
    level = _LEVELS[cpu_level]
    return {
        **_ALWAYS,
        # numpy takes one of these two; that of the baseline switches all others off.
        "NPY_ENABLE_CPU_FEATURES": level.numpy,
        "NPY_DISABLE_CPU_FEATURES": "",
        # OpenBLAS of numpy and the one of scipy.
        "OPENBLAS_CORETYPE": level.openblas,
        "NUMBA_CPU_NAME": cpu_level,
        # Unset, it would add all features of the host to those of the level.
        "NUMBA_CPU_FEATURES": "",
        "NUMBA_DISABLE_INTEL_SVML": "1",
        "ARROW_USER_SIMD_LEVEL": level.arrow,
        "GLIBC_TUNABLES": level.glibc,
    }


def exports(cpu_level: str) -> str:
    """Return `variables` as a command of the shell.

    Examples
    --------
    >>> exports("native")[:40]
    'export OMP_NUM_THREADS=1 OPENBLAS_NUM_TH'
    """
    words = (f"{name}={shlex.quote(value)}" for name, value in variables(cpu_level).items())
    return f"export {' '.join(words)};"


def check_host(cpu_level: str, cpuinfo: str | Path = "/proc/cpuinfo") -> None:
    """Refuse a host whose CPU has not the features of a level.

    Raises
    ------
    ConfigError
        Naming the features that it lacks.
    """
    if cpu_level == NATIVE:
        return
    path = Path(cpuinfo)
    found = re.search(r"^flags\s*:(.*)$", path.read_text() if path.is_file() else "", re.MULTILINE)
    lacking = sorted(_LEVELS[cpu_level].flags - set(found.group(1).split() if found else ()))
    if lacking:
        lower = [name for name, level in _LEVELS.items() if level.flags.isdisjoint(lacking)]
        choices = " or ".join(f"cpu_level: {name}" for name in [*lower[-1:], NATIVE])
        what = f"lacks {', '.join(lacking)}" if found else "is no x86-64 under Linux"
        raise ConfigError(
            f"'environment.cpu_level' is '{cpu_level}', but the CPU of {platform.node()} {what}; "
            f"set {choices} (native: results may differ from other hosts' in the last bits)"
        )


def record() -> dict[str, Any]:
    """Return what is in effect in this process, for the provenance.

    Returns
    -------
    dict
        ``cpu_level``: the level at which this process was started and its libraries are, else
        ``native``; ``in_effect``: what the libraries say; ``threads`` of OpenBLAS; versions.

    Examples
    --------
    >>> sorted(record())
    ['cpu_level', 'in_effect', 'libc', 'packages', 'python', 'threads']
    """
    return copy.deepcopy(_record())


@cache
def _record() -> dict[str, Any]:
    seen, threads = _in_effect()
    return {
        "cpu_level": _level(_at_start(), seen, threads),
        "in_effect": seen,
        "threads": threads,
        "python": platform.python_version(),
        # glibc's libm is the one library of numbers that the lock does not hold.
        "libc": " ".join(platform.libc_ver()),
        "packages": {name: metadata.version(name) for name in _PACKAGES},
    }


def _level(started_with: Mapping[str, str], seen: Mapping[str, str], threads: int) -> str:
    """Return the level that was asked for, if what is seen agrees, else ``native``."""
    for name, level in _LEVELS.items():
        expected = {"numpy": level.numpy, "openblas": level.openblas, "numba": name}
        if variables(name).items() <= started_with.items() and seen == expected and threads == 1:
            return name
    return NATIVE


def _at_start() -> dict[str, str]:
    """Return the environment that this process started with; later changes come too late."""
    path = Path("/proc/self/environ")
    if not path.is_file():
        return {}
    words = path.read_bytes().decode(errors="surrogateescape").split("\0")
    return dict(word.split("=", 1) for word in words if "=" in word)


def _in_effect() -> tuple[dict[str, str], int]:
    """Return what numpy, OpenBLAS and numba use here, and how many threads OpenBLAS has."""
    umath = import_module("numpy._core._multiarray_umath")
    features: Mapping[str, bool] = umath.__cpu_features__
    enabled = [name for name in umath.__cpu_dispatch__ if features[name]]
    blas = [_openblas(library) for library in _loaded("openblas")]
    seen = {
        "numpy": [*umath.__cpu_baseline__, *enabled][-1],
        "openblas": ",".join(sorted({core for core, _ in blas})),
        "numba": _numba_target(),
    }
    return seen, max((threads for _, threads in blas), default=0)


def _numba_target() -> str:
    """Return the CPU that numba compiles for; where it is not loaded, what it would take."""
    if "numba" in sys.modules:
        config = sys.modules["numba"].config
        name, features = config.CPU_NAME, config.CPU_FEATURES
    else:
        name, features = (os.environ.get(f"NUMBA_CPU_{key}") for key in ("NAME", "FEATURES"))
    if features is None:
        return "host"
    return f"{name or 'host'} {features}".strip()


def _loaded(word: str) -> list[Path]:
    """Return the shared libraries of this process that have a word in their name."""
    path = Path("/proc/self/maps")
    lines = path.read_text().splitlines() if path.is_file() else []
    files = {Path(line.split(maxsplit=5)[-1]) for line in lines if word in line}
    return sorted(file for file in files if word in file.name)


def _openblas(library: Path) -> tuple[str, int]:
    """Ask an OpenBLAS for the kernels it took and its number of threads."""
    loaded = ctypes.CDLL(str(library))
    for start, end in (("scipy_", "64_"), ("scipy_", ""), ("", "64_"), ("", "")):
        core = getattr(loaded, f"{start}openblas_get_corename{end}", None)
        if core is not None:
            core.restype = ctypes.c_char_p
            return core().decode(), getattr(loaded, f"{start}openblas_get_num_threads{end}")()
    return "unknown", 0

"""Machine code is kept by the source of all kernels, those in other modules included."""

import os
import shutil
import subprocess
import sys

import tessella.compiled
from tessella.compiled import source_hash

INNER = "from tessella.compiled import kernel\n\n@kernel\ndef inner(x):\n    return x + {step}\n"
OUTER = (
    "from tessella.compiled import kernel\nfrom tessella.inner import inner\n\n"
    "@kernel\ndef outer(x):\n    return 10 * inner(x)\n"
)


def small_package(folder):
    package = folder / "tessella"
    package.mkdir()
    (package / "__init__.py").write_text("")
    shutil.copy(tessella.compiled.__file__, package / "compiled.py")
    (package / "inner.py").write_text(INNER.format(step=1))
    (package / "outer.py").write_text(OUTER)
    return package


def outer_of_1(folder):
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "NUMBA_CACHE_DIR": str(folder / "machine code"),
    }
    code = "from tessella.outer import outer; print(outer(1), sum(outer.stats.cache_hits.values()))"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_edit_of_an_imported_kernel_is_noticed(tmp_path):
    package = small_package(tmp_path)
    assert outer_of_1(tmp_path) == ["20", "0"]
    assert outer_of_1(tmp_path) == ["20", "1"]
    (package / "inner.py").write_text(INNER.format(step=2))
    assert outer_of_1(tmp_path) == ["30", "0"]


def test_key_depends_on_kernels_alone(tmp_path):
    package = small_package(tmp_path)

    def key():
        source_hash.cache_clear()
        return source_hash(package)

    before = key()
    (package / "other.py").write_text("number = 1\n")
    assert key() == before
    (package / "outer.py").rename(package / "outside.py")
    assert key() != before
    source_hash.cache_clear()

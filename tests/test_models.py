"""Windows, names and lattices."""

import subprocess
import sys

import pytest

from tessella.models import ExposureKey, Lattice, Window


@pytest.mark.parametrize(
    ("numbers", "word"),
    [((100, 0, 128, 128), "x is 100"), ((0, -128, 128, 128), "y is -128"),
     ((0, 0, 0, 128), "no pixels"),
     ((4096 - 128, 0, 256, 128), "leave")],
)  # fmt: skip
def test_impossible_window_is_refused_by_name(numbers, word):
    with pytest.raises(ValueError, match=word):
        Window(*numbers)


def test_active_pixels_are_those_without_the_border():
    assert Window(0, 0, 256, 128).shape == (128, 256)
    assert Window(0, 0, 256, 128).active_shape == (120, 248)


def test_visit_has_nineteen_digits():
    key = ExposureKey(18445, 99, 123, 34, 999, 7, 42)
    assert key.visit_id == "1844599123034999007"
    assert key.name == "r1844599123034999007_0042"
    assert len(key.visit_id) == 19


def test_keys_sort_by_their_numbers():
    assert ExposureKey(1, 1, 1, 1, 1, 2, 1) > ExposureKey(1, 1, 1, 1, 1, 1, 9)


def test_lattice_pixel_has_its_solid_angle():
    # 0.055 arcsec: (0.055 / 206264.806)**2.
    assert Lattice(0, 0, 0, 0, 0.055, 5, 4).pixel_area_sr == pytest.approx(7.1101e-14, rel=1e-4)


def test_what_the_graph_imports_stays_light():
    code = (
        "import sys, tessella.models, tessella.flags, tessella.instrument.siaf;"
        "import tessella.instrument.optical_elements;"
        "print([m for m in ('astropy', 'asdf', 'gwcs', 'numba', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""Rows of Level 2 images, whoever wrote them."""

import asdf
import numpy as np
import pytest
from astropy import units as u

from tessella.io.level2_pixels import Pixels


@pytest.mark.parametrize("unit", [None, u.electron / u.s])
def test_arrays_with_units_are_read_like_those_without(tmp_path, unit):
    # Official files of 2023 hold quantities.
    rng = np.random.default_rng(1)
    arrays = {name: rng.random((6, 5), np.float32) + 1 for name in ("data", "var_poisson")}
    arrays["var_rnoise"] = np.ones((6, 5), np.float32)
    powers = {"data": 1, "var_poisson": 2, "var_rnoise": 2}
    held = {k: v if unit is None else u.Quantity(v, unit ** powers[k]) for k, v in arrays.items()}
    dq = np.zeros((6, 5), np.uint32)
    path = tmp_path / "x_cal.asdf"
    asdf.AsdfFile({"roman": {"meta": {}, "dq": dq, **held}}).write_to(path)
    rows = Pixels(path, 2.0).rows(2, 5)
    np.testing.assert_array_equal(rows.data, 2 * arrays["data"][2:5])
    np.testing.assert_array_equal(rows.var_poisson, 4 * arrays["var_poisson"][2:5])
    np.testing.assert_array_equal(rows.var_rnoise, 4 * arrays["var_rnoise"][2:5])
    assert rows.good.all()

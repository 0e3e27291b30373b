"""Outliers are found, stars are not eaten."""

import coadd_fields as fields
import numpy as np
import pytest

from tessella.coadd.outliers import flag_outliers
from tessella.coadd.resample import Rows

ROWS = Rows(0, fields.LATTICE.ny, fields.LATTICE.nx)


def flagged(inputs):
    return flag_outliers(inputs, ROWS, 1.0, *fields.SEARCH)


@pytest.mark.parametrize("which", [0, 3])
def test_hit_in_one_of_four_is_found(which):
    inputs = fields.dithered(sky=0.2)
    data = inputs[which].data.copy()
    data[40, 50], data[41, 50] = data[40, 50] + 2.0, data[41, 50] + 1.0
    inputs[which] = fields.replace(inputs[which], data=data)
    marked = flagged(inputs)
    assert marked[which][40, 50]
    assert marked[which][41, 50]
    inside = [(item.places > 10).all(-1) & (item.places < 140).all(-1) for item in inputs]
    # Two hit pixels and the noise: 5 sigma of a difference, some 1e-6 of 30,000 pixels.
    assert sum(int((m & i).sum()) for m, i in zip(marked, inside, strict=True)) <= 4


@pytest.mark.parametrize("flux", [10.0, 1000.0, 1e5])
def test_cores_of_stars_are_kept(flux):
    inputs = fields.dithered(flux=flux)
    # A star's own photons: its errors grow with it.
    inputs = [fields.replace(i, var_poisson=i.var_poisson + np.abs(i.data) * 1e-3) for i in inputs]
    eaten = [
        m & (np.hypot(*(i.places - [80.3, 74.6]).T).T < 6)
        for m, i in zip(flagged(inputs), inputs, strict=True)
    ]
    assert sum(int(m.sum()) for m in eaten) == 0


def test_of_two_that_disagree_the_brighter_is_marked():
    inputs = fields.dithered(n=2)
    inputs[0] = fields.replace(inputs[0], data=inputs[0].data + 100)
    brighter, fainter = flagged(inputs)
    assert brighter.any()
    assert not fainter.any()


def test_input_without_another_is_kept():
    (alone,) = fields.dithered(n=1)
    assert not flagged([fields.replace(alone, data=alone.data + 100)])[0].any()


def test_pixels_that_do_not_count_are_not_marked():
    inputs = fields.dithered()
    data, weight = inputs[1].data.copy(), inputs[1].weight.copy()
    data[40, 50], weight[40, 50] = 50.0, 0.0
    inputs[1] = fields.replace(inputs[1], data=data, weight=weight)
    assert not flagged(inputs)[1][40, 50]

"""Bright stars grow, even light becomes correlated, and no electron is lost."""

from dataclasses import replace

import numpy as np
import pytest
from exposures import STATE

from tessella.detector.state import draw_maps
from tessella.instrument.read_patterns import ReadPattern
from tessella.models import BORDER, ExposureKey, Window
from tessella.simulate.brighter_fatter import collected
from tessella.simulate.exposure import expose

WINDOW = Window(1024, 1024, 512, 512)
#: Detector WFI06's, four times: of even light.
PER_ELECTRON = (1.5e-6, 4e-7)
#: Nothing but light and this effect.
PLAIN = replace(
    STATE,
    gain_electrons_per_dn=4.0,
    gain_scatter=0.0,
    read_noise_electrons=0.0,
    dark_electrons_per_s=0.0,
    hot_pixel_fraction=0.0,
    dead_pixel_fraction=0.0,
    nonlinearity_per_dn=0.0,
    nonlinearity_scatter=0.0,
    flat_scatter=0.0,
    ipc_kernel=((0.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 0.0)),
    channel_drift_dn=0.0,
    dark_decay_dn=0.0,
    integral_nonlinearity_dn=0.0,
    correlated_noise_dn=0.0,
    channel_noise_dn=0.0,
    snowballs_per_cm2_s=0.0,
    brighter_fatter_per_electron=PER_ELECTRON,
)
PATTERN = ReadPattern(9999, "TWENTY", (1,) * 20, 1.0)


def last_read(rate, state=PLAIN):
    maps = draw_maps(state, "WFI06", WINDOW)
    key = ExposureKey(1, 1, 1, 1, 1, 1, 1)
    readout = expose(rate, maps, state, PATTERN, "WFI06", key, 3, 4000, with_cosmic_rays=False)
    light = readout.data[-1].astype(float) - readout.encoding_offset
    return state.gain_electrons_per_dn * light[BORDER:-BORDER, BORDER:-BORDER]


def test_what_one_pixel_loses_its_neighbours_get():
    rng = np.random.default_rng(1)
    mean = np.zeros((40, 40), np.float32)
    mean[BORDER:-BORDER, BORDER:-BORDER] = rng.uniform(50, 100, (32, 32))
    charge = rng.uniform(0, 5e4, mean.shape).astype(np.float32)
    moved = collected(mean, charge, PER_ELECTRON)
    assert moved.sum(dtype=float) == pytest.approx(mean.sum(dtype=float), rel=1e-6)
    assert np.abs(moved - mean).max() > 1
    assert not moved[:BORDER].any()


def test_even_light_is_correlated_as_areas_say():
    # Charge Q that arrives evenly: the covariance of neighbours is a Q^2 (Hirata & Choi 2020, to
    # first order; the second takes away up to 8 (a_side + a_corner) Q / 3 = 20 % of it).
    rate = 1000.0
    image = last_read(np.full(WINDOW.active_shape, rate))
    charge, image = image.mean(), image - image.mean()
    covariances = {
        "side": (np.mean(image[1:] * image[:-1]) + np.mean(image[:, 1:] * image[:, :-1])) / 2,
        "corner": (np.mean(image[1:, 1:] * image[:-1, :-1])
                   + np.mean(image[1:, :-1] * image[:-1, 1:])) / 2,
    }  # fmt: skip
    # Means of 2 x 254,000 products of two variances of Q: 28 electrons^2.
    for share, found in zip(PER_ELECTRON, covariances.values(), strict=True):
        assert 0.7 * share * charge**2 - 60 < found < 1.05 * share * charge**2 + 60
    assert image.var() < 0.95 * charge


def test_bright_stars_are_wider_and_keep_their_light():
    y, x = np.indices(WINDOW.active_shape) - 252.0
    shape = np.exp(-(x**2 + y**2) / 2) / (2 * np.pi)
    widths, lights = [], []
    for rate in (1000.0, 20_000.0):
        star = last_read(rate * shape)
        here = np.hypot(x, y) < 8
        lights.append(star[here].sum() / (20 * rate))
        widths.append((star * (x**2 + y**2))[here].sum() / star[here].sum())
    assert lights[1] == pytest.approx(lights[0], rel=5e-3)
    assert widths[1] > 1.02 * widths[0]


def test_it_is_refused_where_it_cannot_be():
    with pytest.raises(ValueError, match="brighter_fatter_per_electron is"):
        replace(STATE, brighter_fatter_per_electron=(-1e-7, 0.0))

"""References measured from darks and flats that are drawn here, so that the truth is known."""

import numpy as np
import pytest

from tessella import flags
from tessella.instrument.read_patterns import read_patterns
from tessella.ramps.timing import mean_times
from tessella.references.measure import (
    dark_reference,
    flat_reference,
    mask_reference,
    noise_reference,
    read_noise,
    scatter_about_line,
    scatter_of_other_origin,
    usable_ramps,
)
from tessella.references.running_mean import WeightedMean

FRAME_TIME = 3.0
SHAPE = (100, 200)


def draw_ramp(rng, table, noise_dn, rate_electrons=0.0, gain=2.0, rounded=False, shape=SHAPE):
    """Reads of a plain detector, averaged as they are on board [DN]."""
    charge, resultants = np.zeros(shape), []
    for reads in read_patterns()[table].reads:
        total = np.zeros(shape)
        for _ in reads:
            charge += rng.poisson(rate_electrons * FRAME_TIME, shape)
            read = 1000 + charge / gain + noise_dn * rng.standard_normal(shape)
            total += np.floor(read) if rounded else read
        mean = total / len(reads)
        resultants.append(np.floor(mean) if rounded else mean)
    return np.array(resultants)


@pytest.mark.parametrize("table", [3, 4, 5])
@pytest.mark.parametrize(
    ("noise", "rate", "rounded"), [(6.0, 0, False), (6.0, 20, True), (4.0, 0, True)]
)
def test_read_noise_comes_back_whatever_was_averaged(table, noise, rate, rounded):
    rng = np.random.default_rng(table)
    pattern = read_patterns()[table].reads
    mean = WeightedMean(SHAPE, too_far=20.0)
    n_darks, freedom = 4, len(pattern) - 2
    for _ in range(n_darks):
        ramp = draw_ramp(rng, table, noise, rate, rounded=rounded)
        scatter = scatter_about_line(ramp, pattern)
        mean.add(scatter, np.full(SHAPE, 2 * np.median(scatter) ** 2 / freedom), freedom)
    rounding, photons = scatter_of_other_origin(pattern, FRAME_TIME)
    slope, gain = np.full(SHAPE, rate / 2), np.full(SHAPE, 2.0)
    own = rounding if rounded else 0.0
    variance = mean.values - own - photons * slope / gain
    # The converter rounds each read: a twelfth of a DN^2 is noise of the read.
    expected = noise**2 + (1 / 12 if rounded else 0.0)
    # Scatter of chi-squared of `freedom` times `n_darks`, over all pixels, four times.
    error = mean.values.mean() * np.sqrt(2 / (freedom * n_darks * variance.size))
    assert variance.mean() == pytest.approx(expected, abs=4 * error)
    found = read_noise(mean.values, own, photons, slope, gain)
    known = np.isfinite(found)
    np.testing.assert_allclose(found[known] ** 2, variance[known])
    assert known.mean() > 0.9 or rate > 0


def test_noise_that_dark_current_hides_is_not_known():
    one = np.ones((1, 1))
    # 2000 DN / s: nine tenths of the scatter are photons.
    assert np.isnan(read_noise(360 * one, 0.0, 0.33, 2000 * one, 2 * one)).all()


def test_ramp_of_two_resultants_is_refused():
    with pytest.raises(ValueError, match="2 resultants has no scatter"):
        scatter_about_line(np.zeros((2, 1, 1)), ((1,), (2,)))


@pytest.mark.parametrize("flag", [flags.DROPOUT, flags.SATURATED, flags.DO_NOT_USE])
def test_ramp_with_a_lost_resultant_takes_no_part(flag):
    dq = np.zeros((5, 1, 2), np.uint8)
    dq[3, 0, 1] = flag
    ramp = usable_ramps(np.ones((5, 1, 2), np.float32), dq)
    assert np.isfinite(ramp[:, 0, 0]).all()
    assert np.isnan(ramp[:, 0, 1]).all()
    assert np.isnan(scatter_about_line(ramp, read_patterns()[3].reads)[0, 1])


def test_line_has_no_scatter_whatever_its_slope_and_level():
    pattern = read_patterns()[4].reads
    line = 500 + 7 * mean_times(pattern, 1.0)[:, None, None] * np.ones((1, 2, 3))
    # Squares of 1e3 in double precision.
    np.testing.assert_allclose(scatter_about_line(line, pattern), 0, atol=1e-8)


def test_mean_of_images_knows_its_error():
    rng = np.random.default_rng(2)
    mean = WeightedMean(SHAPE)
    for sigma in (1.0, 2.0, 2.0):
        image = 5 + sigma * rng.standard_normal(SHAPE)
        mean.add(image, np.full(SHAPE, sigma**2), 1 / sigma**2)
    np.testing.assert_allclose(mean.error, np.sqrt(1 / (1 + 0.25 + 0.25)))
    # 20,000 pulls: mean to 4 / sqrt(20000), deviation to 4 / sqrt(40000).
    pulls = (mean.values - 5) / mean.error
    assert abs(pulls.mean()) < 0.03
    assert abs(pulls.std() - 1) < 0.02


def test_one_hit_in_several_images_does_not_count():
    rng = np.random.default_rng(5)
    mean, error = WeightedMean(SHAPE), np.full(SHAPE, 4.0)
    for number in range(4):
        image = 7 + 2 * rng.standard_normal(SHAPE)
        if number == 2:
            image[::7] += 60
        mean.add(image, error, 1.0)
    hit = np.zeros(SHAPE, bool)
    hit[::7] = True
    for pixels, n in ((hit, 3), (~hit, 4)):
        np.testing.assert_allclose(mean.error[pixels], 2 / np.sqrt(n))
        # Four errors of the mean of all these pixels; a hit of 30 deviations is always seen.
        assert abs(mean.values[pixels].mean() - 7) < 4 * 2 / np.sqrt(n * pixels.sum())


def test_pixel_that_is_bright_in_all_images_stays_bright():
    mean = WeightedMean((1, 1))
    for value in (100.0, 101.0, 99.0):
        mean.add(np.full((1, 1), value), np.ones((1, 1)), 1.0)
    assert mean.values[0, 0] == pytest.approx(100)


def test_dark_tells_hot_pixels_and_those_not_measured():
    slope, error = np.full((4, 6), 0.01), np.full((4, 6), 0.002)
    slope[1, 2], slope[2, 3], error[2, 3] = 5.0, np.nan, np.nan
    dark = dark_reference(slope, error, 1.0)
    assert {values.shape for values in dark.values()} == {(12, 14)}
    assert dark["dq"][5, 6] == flags.HOT | flags.DO_NOT_USE
    assert dark["dq"][6, 7] == flags.value("UNRELIABLE_DARK") | flags.DO_NOT_USE
    assert np.count_nonzero(dark["dq"]) == 2
    assert dark["dark_slope"][5, 6] == 5.0
    assert dark["dark_slope_error"][6, 7] >= 5.0
    assert all(np.isfinite(dark[name]).all() for name in ("dark_slope", "dark_slope_error"))


def test_flat_is_the_response_times_the_solid_angle():
    rng = np.random.default_rng(3)
    response = 1 + 0.01 * rng.standard_normal(SHAPE)
    area = np.linspace(0.98, 1.02, SHAPE[1]) * np.ones(SHAPE)
    measured = 1.3 * response
    measured[0, 0], measured[1, 1] = 0.1, np.nan
    flat = flat_reference(measured, np.full(SHAPE, 0.002), area, 0.5)
    good = np.ones(SHAPE, bool)
    good[0, 0] = good[1, 1] = False
    # Single precision.
    np.testing.assert_allclose(
        flat["data"][good], (response * area)[good] / response[good].mean(), rtol=1e-6
    )
    assert (flat["dq"][~good] == flags.NO_FLAT_FIELD | flags.DO_NOT_USE).all()
    assert not flat["dq"][good].any()
    assert (flat["data"][~good] == 0).all()
    assert (flat["err"] > 0).all()


def test_mask_tells_what_is_bad_and_how():
    response, slope, noise = np.ones((1, 6)), np.zeros((1, 6)), np.full((1, 6), 6.0)
    response[0, 1], slope[0, 2], noise[0, 3], response[0, 4] = 0.1, 9.0, 30.0, np.nan
    noise[0, 2] = np.nan
    dq = mask_reference(response, slope, noise, 1.0, 0.5, 3.0)["dq"]
    other = flags.value("OTHER_BAD_PIXEL")
    bad = [0, flags.DEAD, flags.HOT, other, other, 0]
    assert dq[4, 4:10].tolist() == [flag | (flags.DO_NOT_USE if flag else 0) for flag in bad]
    assert np.count_nonzero(dq) == 4


def test_noise_of_the_border_is_kept():
    border = np.arange(12 * 14.0).reshape(12, 14)
    noise = np.full((4, 6), 6.0)
    noise[0, 0] = np.nan
    data = noise_reference(noise, border)["data"]
    assert (data[4:-4, 4:-4] == 6).all()
    assert (data[:4] == border[:4]).all()
    assert (data[:, -4:] == border[:, -4:]).all()


def test_nothing_measured_is_an_error():
    nothing = np.full((2, 2), np.nan)
    with pytest.raises(ValueError, match="nothing was measured in any pixel"):
        dark_reference(nothing, nothing, 1.0)

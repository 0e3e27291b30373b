"""The optical model: centred, right in size, in the right frame, and faithful between samples."""

import datetime

import galsim
import galsim.roman
import numpy as np
import pytest

from tessella.detector.state import Blur
from tessella.instrument.optical_elements import filters
from tessella.instrument.siaf import ACTIVE_SIZE, aperture
from tessella.psf.effective import EffectivePsf
from tessella.psf.model import NOMINAL_PIXEL_ARCSEC, effective_psf, field_position, optical_psf

KERNEL = np.array([[0.21, 1.66, 0.22], [1.88, 91.59, 1.87], [0.21, 1.62, 0.20]])
KERNEL /= KERNEL.sum()
CENTER = 2043.5


def optics(element="F158", jitter=8.0, diffusion=2.94):
    return optical_psf("WFI01", element, CENTER, CENTER, Blur(jitter, diffusion))


@pytest.mark.parametrize("element", ["F106", "F129", "F158", "F213"])
def test_width_agrees_with_the_mission_table(element):
    step = 0.002
    drawn = optics(element, 0.0, 0.0).drawImage(nx=201, ny=201, scale=step, method="no_pixel").array
    # Diameter of the circle as large as the area above half of the peak.
    fwhm = 2 * step * np.sqrt((drawn > drawn.max() / 2).sum() / np.pi)
    # The table averages over a spectrum and a band: half of the band's width moves it by 5 %.
    assert fwhm == pytest.approx(filters()[element].psf_fwhm, rel=0.06)


def test_defocus_widens_the_core_and_both_signs_differ():
    def peak(defocus):
        blurred = optical_psf("WFI01", "F158", CENTER, CENTER, Blur(8.0, 2.94, defocus))
        return float(EffectivePsf(effective_psf(blurred, None), 4).evaluate(0.0, 0.0))

    # Strehl's ratio of a defocus of w waves: exp(-(2 pi w)^2), at 1293 of 1579 nm, of the optics;
    # pixel, jitter and diffusion dilute it, and the design has a defocus of its own.
    best, either = peak(0.0), [peak(-0.06), peak(0.06)]
    expected = np.exp(-((2 * np.pi * 0.06 * 1293 / 1579) ** 2))
    assert all(expected - 0.05 < value / best < 1.02 for value in either)
    assert min(either) < best
    assert either[0] != pytest.approx(either[1], rel=1e-3)


def test_share_of_the_central_pixel_agrees_with_the_mission_table():
    # Column center_PSF_peak_flux of the mission's table; another spectrum and diffusion: 10 %.
    psf = EffectivePsf(effective_psf(optics(jitter=8.0, diffusion=0.0), None), 4)
    assert float(psf.evaluate(0.0, 0.0)) == pytest.approx(0.2908, rel=0.1)


def test_stamp_is_centred():
    stamp = effective_psf(optics(), None, oversample=4, size_pixels=30)
    moments = galsim.hsm.FindAdaptiveMom(galsim.Image(stamp, scale=1.0))
    middle = (stamp.shape[0] + 1) / 2
    # Image and stamp are one drawing but for its size: the fit's tolerance of 1e-6 is left.
    assert moments.moments_centroid.x == pytest.approx(middle, abs=1e-3)
    assert moments.moments_centroid.y == pytest.approx(middle, abs=1e-3)


def test_stamp_sums_to_the_light_inside_it():
    stamp = effective_psf(optics(), KERNEL, oversample=4, size_pixels=300)
    # Aberrated light at r arcsec and beyond is about 0.08 / r of all, 1e-3 at the image's folding.
    assert stamp.sum() / 16 == pytest.approx(1.0, abs=2e-3)


def test_capacitance_is_that_of_the_detector():
    from tessella.detector.ipc import couple_pixels

    plain = effective_psf(optics(), None, oversample=4, size_pixels=20)
    coupled = effective_psf(optics(), KERNEL, oversample=4, size_pixels=20)
    phase = np.s_[2::4, 1::4]
    # Away from the rim, whose neighbours the stamp does not hold.
    expected = couple_pixels(plain[phase], KERNEL)[1:-1, 1:-1]
    np.testing.assert_allclose(coupled[phase][1:-1, 1:-1], expected, atol=1e-7)


def test_evaluation_between_samples_agrees_with_a_drawing():
    model = optics("F106")
    psf = EffectivePsf(effective_psf(model, None, oversample=4, size_pixels=24), 4)
    offsets = np.arange(-10, 11.0)
    for dx, dy in ((0.13, -0.37), (0.48, 0.02), (-0.25, 0.31)):
        moved = model.shift(dx * NOMINAL_PIXEL_ARCSEC, dy * NOMINAL_PIXEL_ARCSEC)
        drawn = moved.drawImage(nx=21, ny=21, scale=NOMINAL_PIXEL_ARCSEC, dtype=float).array
        # F106 is sampled 1.7 times finer than its cut-off: a cubic spline leaves 1e-3 of the peak.
        np.testing.assert_allclose(
            psf.evaluate_grid(offsets - dx, offsets - dy), drawn, atol=1e-3 * drawn.max()
        )


def test_grid_and_points_are_the_same():
    psf = EffectivePsf(effective_psf(optics(), None, size_pixels=10), 4)
    dx, dy = np.linspace(-6, 6, 7), np.linspace(-5.5, 4, 6)
    np.testing.assert_allclose(
        psf.evaluate_grid(dx, dy), psf.evaluate(dx[None, :], dy[:, None]), atol=1e-14
    )
    assert psf.evaluate(6.0, 0.0) == 0


def test_gradient_is_the_limit_of_differences():
    psf = EffectivePsf(effective_psf(optics(), None, size_pixels=10), 4)
    step = 1e-5
    along_x, along_y = psf.gradient(0.3, -0.2)
    # Central differences err by the third derivative, about 1, times step squared.
    assert along_x == pytest.approx(
        (psf.evaluate(0.3 + step, -0.2) - psf.evaluate(0.3 - step, -0.2)) / (2 * step), abs=1e-8
    )
    assert along_y == pytest.approx(
        (psf.evaluate(0.3, -0.2 + step) - psf.evaluate(0.3, -0.2 - step)) / (2 * step), abs=1e-8
    )


def test_stamp_with_an_even_side_is_refused():
    with pytest.raises(ValueError, match="odd side"):
        EffectivePsf(np.ones((4, 4)), 1)


@pytest.mark.parametrize("detector", ["WFI01", "WFI03"])
def test_field_positions_are_those_of_galsim(detector):
    """Steps along a detector, seen from the instrument's centre, agree with galsim's own WCS."""
    date = datetime.datetime(2027, 6, 21)
    center = galsim.CelestialCoord(270 * galsim.degrees, 60 * galsim.degrees)
    wcs = galsim.roman.getWCS(world_pos=center, PA=0 * galsim.degrees, date=date, PA_is_FPA=True)

    def plane(number, position):
        u, v = center.project(wcs[number].toWorld(position))
        return np.array([u / galsim.arcsec, v / galsim.arcsec])

    centers = [plane(n, galsim.PositionD(2044.5, 2044.5)) for n in range(1, 19)]
    entries = [aperture(f"WFI{n:02d}_FULL") for n in range(1, 19)]
    telescope = np.array([[e.v2_ref, e.v3_ref, 1.0] for e in entries])
    turn = np.linalg.lstsq(telescope, np.array(centers), rcond=None)[0][:2]
    entry = entries[int(detector[3:]) - 1]
    angle = np.radians(entry.v3_ideal_y_angle)
    ideal = 0.11 * np.array([800.0 * entry.parity, 500.0])
    expected = (
        np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]).T @ ideal @ turn
    )
    here = field_position(detector, CENTER, CENTER)
    there = field_position(detector, CENTER + 800, CENTER + 500)
    step = plane(int(detector[3:]), there) - plane(int(detector[3:]), here)
    # Plate scales differ from 0.11 by 3 %: directions are what is tested.
    np.testing.assert_allclose(step, expected, atol=0.05 * np.hypot(*expected))


def test_field_position_of_the_middle_is_the_middle():
    for detector in ("WFI01", "WFI03"):
        middle = field_position(detector, CENTER, CENTER)
        assert (middle.x, middle.y) == ((ACTIVE_SIZE + 1) / 2, (ACTIVE_SIZE + 1) / 2)

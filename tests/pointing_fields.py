"""Stars of detectors and their references, under a pointing that is wrong by so much."""

import numpy as np

from tessella.astrometry.alignment import DetectorStars
from tessella.astrometry.rigid import RigidFit, corrected
from tessella.astrometry.wcs import attitude_of, detector_to_sky, detector_to_v2v3

SIDE = 4088
#: Pixels around a detector where the references go on.
AROUND = 320
ARCSEC_TO_MAS = 3.6e6


def draw_field(
    n, spurious=0, shift=30.0, turn_arcsec=0.0, seed=1, detectors=("WFI01",), seen=1.0, ra_dec=None
):
    """Draw n stars a detector; return what the detectors measure, and their true attitudes.

    The pointing is wrong by `shift` [arcsec] in a random direction and by the turn about the
    middle of the detectors. References are known to 0.3 to 2 mas, centroids to 90 mas over the
    signal-to-noise ratio, which is 12 to 1000 evenly in its logarithm. A share `seen` of the
    stars is measured.
    """
    rng = np.random.default_rng(seed)
    ra0, dec0 = ra_dec or (rng.uniform(0, 360), np.degrees(np.arcsin(rng.uniform(-0.95, 0.95))))
    angle, pa = rng.uniform(0, 2 * np.pi), rng.uniform(0, 360)
    true = [attitude_of(name, ra0, dec0, pa) for name in detectors]
    pivot = np.mean([[one.v2_ref, one.v3_ref] for one in true], axis=0)
    error = RigidFit(
        shift * np.array([np.cos(angle), np.sin(angle)]),
        np.radians(turn_arcsec / 3600),
        np.zeros((0, 2)),
    )
    fields = []
    for name, attitude in zip(detectors, true, strict=True):
        # As many as there are on the detector, and as densely around it.
        beside = round(n * ((1 + 2 * AROUND / SIDE) ** 2 - 1))
        around = rng.uniform(-AROUND, SIDE + AROUND, (2, 8 * beside + 8))
        around = around[:, ((around < 0) | (around > SIDE)).any(axis=0)][:, :beside]
        places = np.concatenate([rng.uniform(0, SIDE, (2, n)), around], axis=1)
        ra, dec = detector_to_sky(attitude, name, *places)
        measured = rng.random(n) < seen
        snr = 10 ** rng.uniform(1.1, 3, measured.sum())
        peaks = places[:, :n][:, measured]
        v = np.stack(detector_to_v2v3(name, *peaks))
        v = v + 0.09 / snr * rng.standard_normal(v.shape)
        others = np.stack(detector_to_v2v3(name, *rng.uniform(0, SIDE, (2, spurious))))
        sigma = rng.uniform(0.3, 2.0, ra.size)
        east, north = sigma * rng.standard_normal((2, ra.size)) / ARCSEC_TO_MAS
        fields.append(
            DetectorStars(
                corrected(attitude, error, pivot),
                *np.concatenate([v, others], axis=1),
                np.concatenate([0.09 / snr, np.full(spurious, 0.003)]),
                np.concatenate([snr, rng.uniform(12, 100, spurious)]),
                ra + east / np.cos(np.radians(dec)),
                dec + north,
                sigma[:, None, None] ** 2 * np.eye(2),
            )
        )
    return fields, list(zip(detectors, true, strict=True))


def errors_mas(attitude, name, true):
    """Distance from truth on a grid over a detector [mas]."""
    x, y = np.meshgrid(np.linspace(0, SIDE - 1, 9), np.linspace(0, SIDE - 1, 9))
    (ra, dec), (ra0, dec0) = (detector_to_sky(a, name, x, y) for a in (attitude, true))
    east = ((ra - ra0 + 180) % 360 - 180) * np.cos(np.radians(dec0))
    return ARCSEC_TO_MAS * np.hypot(east, dec - dec0)

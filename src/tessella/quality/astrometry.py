"""Figures of positions: against the truth, and against the reference stars."""

from collections.abc import Sequence

import numpy as np

from tessella.quality.figures import Figure, rms_figure
from tessella.quality.matching import match, nearest_within, offsets_mas
from tessella.quality.samples import ExposureStars, Sources, Truth

#: Measured and true position of one star are not farther apart [arcsec].
PAIR_ARCSEC = 0.2
MINIMUM_SNR = 50.0
#: Rms per axis.
BOUND_MAS = 5.0


def used_in_alignment(truth: Truth, exposures: Sequence[ExposureStars]) -> np.ndarray:
    """Tell which true sources took part in the alignment of any exposure, (n,)."""
    used = np.zeros(len(truth.ra), bool)
    for stars in exposures:
        ra, dec = stars.ra[stars.is_used], stars.dec[stars.is_used]
        used |= nearest_within(truth.ra, truth.dec, ra, dec, PAIR_ARCSEC) >= 0
    return used


def catalogue(
    truth: Truth, sources: Sources, exposures: Sequence[ExposureStars]
) -> tuple[np.ndarray, Figure]:
    """Return offsets of catalogue positions from the truth [mas], (n, 2), and their rms per axis.

    Isolated unsaturated constant stars of S/N above 50 that took no part in any alignment.
    """
    snr, alone = truth.best_band()
    counts = truth.is_star & alone & truth.every("is_unsaturated") & truth.every("is_inside")
    counts &= (snr > MINIMUM_SNR) & truth.is_constant & ~used_in_alignment(truth, exposures)
    index = match(truth.ra, truth.dec, sources.ra, sources.dec, PAIR_ARCSEC)
    chosen = np.flatnonzero(counts & (index >= 0))
    found = index[chosen]
    offsets = offsets_mas(
        sources.ra[found], sources.dec[found], truth.ra[chosen], truth.dec[chosen]
    )
    return offsets, rms_figure(offsets, "astrometry", BOUND_MAS)


def single_exposures(
    truth: Truth, exposures: Sequence[ExposureStars], elements: Sequence[str]
) -> tuple[np.ndarray, np.ndarray]:
    """Return offsets of stars in exposures from the truth [mas], before and after, (n, 2).

    The sample of `catalogue`, with the signal-to-noise ratio of a single exposure; `elements`
    are the optical elements of the exposures. Pairs are sought by the position after alignment.
    """
    free = truth.is_star & truth.is_constant & ~used_in_alignment(truth, exposures)
    before, after = [np.empty((0, 2))], [np.empty((0, 2))]
    for stars, element in zip(exposures, elements, strict=True):
        band = truth.bands[element]
        counts = free & band.is_isolated & band.is_unsaturated & band.is_inside
        chosen = np.flatnonzero(counts & (band.single_snr > MINIMUM_SNR))
        good = np.flatnonzero(stars.is_good)
        place = truth.ra[chosen], truth.dec[chosen]
        index = match(*place, stars.ra[good], stars.dec[good], PAIR_ARCSEC)
        paired, star = chosen[index >= 0], good[index[index >= 0]]
        true = truth.ra[paired], truth.dec[paired]
        before.append(offsets_mas(stars.ra_before[star], stars.dec_before[star], *true))
        after.append(offsets_mas(stars.ra[star], stars.dec[star], *true))
    return np.concatenate(before), np.concatenate(after)


def against_references(exposures: Sequence[ExposureStars]) -> tuple[np.ndarray, np.ndarray]:
    """Return offsets of aligned stars from reference stars [mas], before and after, (n, 2)."""
    before, after = [np.empty((0, 2))], [np.empty((0, 2))]
    for stars in exposures:
        used = np.flatnonzero(stars.is_used)
        places = stars.ra[used], stars.dec[used]
        index = match(*places, stars.reference_ra, stars.reference_dec, PAIR_ARCSEC)
        star, reference = used[index >= 0], index[index >= 0]
        place = stars.reference_ra[reference], stars.reference_dec[reference]
        before.append(offsets_mas(stars.ra_before[star], stars.dec_before[star], *place))
        after.append(offsets_mas(stars.ra[star], stars.dec[star], *place))
    return np.concatenate(before), np.concatenate(after)


def repeats(exposures: Sequence[ExposureStars]) -> tuple[np.ndarray, np.ndarray]:
    """Return offsets of stars from the mean of their images [mas], before and after, (n, 2).

    Of stars that took part in the alignment of two images or more, scaled by sqrt(n / (n - 1)):
    their rms is that of a single position. Positions before the alignment have means of their own.
    """
    ra, dec, star = np.empty(0), np.empty(0), []
    for stars in exposures:
        used = np.flatnonzero(stars.is_used)
        index = match(stars.ra[used], stars.dec[used], ra, dec, PAIR_ARCSEC)
        new = index < 0
        index[new] = len(ra) + np.arange(new.sum())
        ra, dec = np.append(ra, stars.ra[used[new]]), np.append(dec, stars.dec[used[new]])
        star.append(index)
    of = np.concatenate([np.empty(0, int), *star])
    count = np.bincount(of, minlength=len(ra))
    several = count[of] >= 2
    found = []
    for names in (("ra_before", "dec_before"), ("ra", "dec")):
        there_ra, there_dec = (
            np.concatenate([np.empty(0), *(getattr(one, name)[one.is_used] for one in exposures)])
            for name in names
        )
        offsets = offsets_mas(there_ra, there_dec, ra[of], dec[of])
        sums = np.stack([np.bincount(of, column, len(ra)) for column in offsets.T], axis=-1)
        apart = offsets - (sums / np.maximum(count, 1)[:, None])[of]
        scale = np.sqrt(count / np.maximum(count - 1, 1))[of]
        found.append((apart * scale[:, None])[several])
    return found[0], found[1]

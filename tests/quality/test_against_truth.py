"""A drawn catalogue of which every figure is known beforehand."""

from dataclasses import replace

import numpy as np
import pytest

from tessella.quality import against_truth, astrometry
from tessella.quality.samples import (
    ExposureStars,
    SkyApertures,
    Sources,
    TileSamples,
    Truth,
    TruthInBand,
    join_samples,
    take,
)  # fmt: skip
from tessella.quality.summary import assess, plain, summarize
from tessella.randomness import generator

ARCSEC = 1 / 3600
N = 400
ERROR = 10.0


def truth_of(n: int = N, **changes) -> Truth:
    """Stars 5 arcsec apart on the equator, S/N from 5 to 200."""
    flux = ERROR * np.geomspace(5, 200, n)
    yes = np.ones(n, bool)
    band = TruthInBand(flux, np.full(n, ERROR), np.full(n, 4), yes, yes, yes)
    columns = {
        "index": np.arange(n),
        "ra": np.arange(n) * 5 * ARCSEC + 10,
        "dec": np.zeros(n),
        "is_star": yes,
        "half_light_radius": np.zeros(n),
        "is_constant": yes,
        "path_pa": np.full(n, np.nan),
        "bands": {"F158": band},
    }
    return Truth(**(columns | changes))


def sources_of(
    truth: Truth, bias: float = 0.0, scatter: float = 1.0, shift_mas: float = 0.0
) -> Sources:
    """Measure each star with its error, times `scatter`."""
    band = truth.bands["F158"]
    noise = generator("test catalogue").normal(size=(3, len(truth.ra)))
    flux = band.flux * (1 + bias) + scatter * band.error * noise[0]
    ra = truth.ra + (shift_mas + noise[1]) / 3.6e6
    return Sources(ra, truth.dec + noise[2] / 3.6e6, {"F158": flux}, {"F158": band.error})


def exposure_of(truth: Truth, used: np.ndarray) -> ExposureStars:
    """An exposure whose pointing is 300 mas off in declination."""
    return ExposureStars(
        "r_wfi01_f158", truth.ra, truth.dec + 300 / 3.6e6, truth.ra, truth.dec,
        np.ones(len(truth.ra), bool), used, truth.ra, truth.dec, "aligned",
    )  # fmt: skip


def test_missing_sources_lower_completeness_and_nothing_else():
    truth = truth_of()
    found = take(sources_of(truth), np.flatnonzero(np.arange(N) % 10 != 0))
    bright = truth.bands["F158"].snr > 10
    expected = np.mean(np.arange(N)[bright] % 10 != 0)
    figure = against_truth.completeness(truth, found)["all"]
    assert figure.value == pytest.approx(expected)
    assert figure.n == bright.sum()
    assert figure.ok is False
    assert against_truth.purity(truth, found)["all"].value == 1


def test_false_sources_lower_purity_and_nothing_else():
    truth = truth_of()
    real = sources_of(truth)
    false = take(real, np.arange(N - 50, N))
    false = Sources(false.ra, false.dec + 2 * ARCSEC, false.flux, false.error)
    tiles = [TileSamples(truth, part, {}) for part in (real, false)]
    _, both, _ = join_samples(tiles)
    bright = real.snr > 10
    assert against_truth.purity(truth, both)["all"].value == pytest.approx(
        bright.sum() / (bright.sum() + 50)
    )
    assert against_truth.completeness(truth, both)["all"].value == 1


def test_a_star_that_was_split_counts_once():
    truth = truth_of()
    whole = sources_of(truth)
    part = Sources(whole.ra, whole.dec + 0.15 * ARCSEC, whole.flux, whole.error)
    split = Sources(
        *(np.concatenate([getattr(whole, n), getattr(part, n)]) for n in ("ra", "dec")),
        *({"F158": np.concatenate([getattr(whole, n)["F158"]] * 2)} for n in ("flux", "error")),
    )
    assert against_truth.purity(truth, split)["all"].value == pytest.approx(0.5, abs=0.01)


def test_false_sources_around_saturated_stars_are_counted_and_shown_apart():
    truth = truth_of()
    band = truth.bands["F158"]
    full = TruthInBand(**{**vars(band), "is_unsaturated": np.arange(N) < N - 1})
    truth = truth_of(bands={"F158": full})
    real = sources_of(truth)
    spike = Sources(
        real.ra[-3:] * 0 + truth.ra[-1], np.array([1.0, 2.0, 3.0]) * ARCSEC,
        {"F158": np.full(3, 500.0)}, {"F158": np.full(3, 10.0)},
    )  # fmt: skip
    _, both, _ = join_samples([TileSamples(truth, part, {}) for part in (real, spike)])
    purity = against_truth.purity(truth, both)
    assert purity["away_from_saturated_stars"].value == 1
    assert purity["around_saturated_stars"].value == pytest.approx(0.25, abs=0.2)
    assert purity["all"].value < 1


def test_sources_that_change_judge_nothing_and_vouch_for_what_is_found():
    # Every fourth star is far from its flux in the truth, and 0.15 arcsec from its place.
    changing = np.arange(N) % 4 == 0
    truth = truth_of(is_constant=~changing)
    real = sources_of(truth)
    seen = Sources(
        real.ra, real.dec + changing * 0.15 * ARCSEC,
        {"F158": real.flux["F158"] * (1 + 2.0 * changing)}, real.error,
    )  # fmt: skip
    figure = against_truth.completeness(truth, seen)["all"]
    assert figure.value == 1
    assert figure.n == (~changing & (truth.bands["F158"].snr > 10)).sum()
    sample = against_truth.flux_sample(truth, seen, "F158")
    assert abs(sample.relative).max() < 0.5
    assert against_truth.purity(truth, seen)["all"].value == 1
    offsets, _ = astrometry.catalogue(truth, seen, [])
    assert np.abs(offsets).max() < 10
    moved = replace(exposure_of(truth, np.zeros(N, bool)), dec=seen.dec, dec_before=seen.dec)
    for found in astrometry.single_exposures(truth, [moved], ["F158"]):
        assert np.abs(found).max() < 10


def test_traces_of_moving_bodies_are_neither_true_nor_false():
    path = np.where(np.arange(N) == 0, 0.0, np.nan)
    truth = truth_of(is_constant=np.isnan(path), path_pa=path)
    real = sources_of(truth)
    # Three detections north of the first source, and one away from its path.
    dec = np.array([7.0, 8.0, 9.0, 7.0]) * ARCSEC
    ra = truth.ra[0] + np.array([0.0, 0.1, -0.1, 2.5]) * ARCSEC
    traces = Sources(ra, dec, {"F158": np.full(4, 500.0)}, {"F158": np.full(4, 10.0)})
    _, both, _ = join_samples([TileSamples(truth, part, {}) for part in (real, traces)])
    figure = against_truth.purity(truth, both)["all"]
    bright = (real.snr > 10)[1:].sum()
    assert figure.n == bright + 1
    assert figure.value == pytest.approx(bright / (bright + 1))


def test_bias_and_spread_of_fluxes_are_recovered():
    truth = truth_of()
    sample = against_truth.flux_sample(truth, sources_of(truth, bias=0.03, scatter=0.5), "F158")
    # 10 to 100 is log(10) / log(40) of the geometric sequence.
    assert len(sample.true) == pytest.approx(N * np.log(10) / np.log(40), abs=2)
    assert against_truth.flux_bias(sample).value == pytest.approx(0.03, abs=0.006)
    assert against_truth.flux_bias(sample).ok is False
    unbiased = against_truth.flux_sample(truth, sources_of(truth), "F158")
    # Standard error of a robust spread: 1.17 / sqrt(250) = 0.074.
    assert against_truth.flux_pull(unbiased, "F158").value == pytest.approx(1, abs=0.2)
    assert against_truth.flux_pull(unbiased, "F158").ok is True


def test_stars_of_the_alignment_do_not_judge_it():
    truth = truth_of()
    used = np.arange(N) % 3 == 0
    exposure = exposure_of(truth, used)
    offsets, figure = astrometry.catalogue(truth, sources_of(truth), [exposure])
    bright = truth.bands["F158"].snr > 50
    assert figure.n == (bright & ~used).sum()
    # Noise of 1 mas per axis; standard error 1 / sqrt(2 * 2 n) with n of about 100.
    assert figure.value == pytest.approx(1, abs=0.25)
    assert offsets.shape == (figure.n, 2)


def test_single_exposures_show_what_alignment_did():
    truth = truth_of()
    before, after = astrometry.single_exposures(
        truth, [exposure_of(truth, np.zeros(N, bool))], ["F158"]
    )
    # One of four exposures has half the signal-to-noise ratio.
    assert len(after) == (truth.bands["F158"].snr > 100).sum()
    np.testing.assert_allclose(before[:, 1], 300, atol=1e-3)
    np.testing.assert_allclose(after, 0, atol=1e-3)


def test_repeats_are_the_scatter_of_one_position():
    truth, rng = truth_of(), generator("test repeats")
    used = np.arange(N) % 2 == 0
    images = []
    for k, n in enumerate((N, N, N // 2)):
        exposure = exposure_of(truth, used & (np.arange(N) < n))
        # The pointing of each is off by its own number of mas.
        east, north = 2.0 * rng.normal(size=(2, N)) / 3.6e6
        images.append(
            replace(
                exposure,
                ra=truth.ra + east / np.cos(np.radians(truth.dec)),
                dec=truth.dec + north,
                dec_before=truth.dec + k * 100 / 3.6e6,
            )
        )
    before, after = astrometry.repeats([images[1], images[0], images[2]])
    assert len(after) == 2 * used.sum() + used[: N // 2].sum()
    # Of some 5/4 N stars of 2 coordinates each; four times their error.
    assert np.sqrt(np.mean(after**2)) == pytest.approx(2.0, rel=4 / np.sqrt(2 * len(after)))
    # Pairs of 0 and 100, and triples of 0, 100, 200: each has a spread of 100 or 100 / sqrt(2).
    assert 100 / np.sqrt(2) < np.sqrt(np.mean(before[:, 1] ** 2)) < 100
    assert not np.concatenate(astrometry.repeats([])).size
    assert not np.concatenate(astrometry.repeats(images[:1])).size


def test_without_truth_figures_are_not_measured_and_never_zero():
    truth = truth_of()
    sky = {"F158": SkyApertures(generator("test sky").normal(size=500), np.full(500, 10.0))}
    exposure = exposure_of(truth, np.arange(N) % 2 == 0)
    found = assess(None, sources_of(truth), sky, [exposure], ["F158"])
    summary = summarize(found, 12, N, None, None)
    assert summary["completeness_snr10"] is None
    assert summary["flux_bias"] == {"F158": None}
    assert "packets" not in summary
    assert summary["sky_pull_sd"]["F158"]["ok"] is True
    assert summary["details"]["gaia_before_mas"]["value"] == pytest.approx(300 / np.sqrt(2))


def test_summary_has_the_agreed_keys():
    truth = truth_of()
    sky = {"F158": SkyApertures(generator("test sky").normal(size=500), np.full(500, 10.0))}
    found = assess(truth, sources_of(truth), sky, [exposure_of(truth, np.zeros(N, bool))], ["F158"])
    packets = dict.fromkeys(
        ("received", "used", "duplicate", "rejected", "idle", "unknown", "missing_rows"), 0
    )
    summary = summarize(found, 1, N, packets, "truth.ecsv")
    agreed = {
        "n_exposures", "n_sources", "completeness_snr10", "purity_snr10", "flux_bias",
        "flux_pull_sd", "sky_pull_sd", "astrometry_rms_mas", "depth_5sigma_abmag", "packets",
    }  # fmt: skip
    assert agreed <= set(summary)
    assert set(summary["purity_snr10"]) == {"value", "n", "interval", "bound", "ok"}
    assert plain(found.figures)["depth_5sigma_abmag"]["F158"]["value"] == pytest.approx(
        27.153, abs=0.001
    )


def test_a_source_on_two_tiles_counts_once():
    truth = truth_of()
    sources = sources_of(truth)
    sky = {"F158": SkyApertures(np.zeros(3), np.ones(3))}
    left = TileSamples(take(truth, np.arange(250)), take(sources, np.arange(250)), sky)
    right = TileSamples(take(truth, np.arange(150, N)), take(sources, np.arange(150, N)), sky)
    known, both, apertures = join_samples([left, right])
    assert len(both.ra) == N
    assert known is not None
    assert sorted(known.index) == list(range(N))
    assert len(apertures["F158"].pulls) == 6

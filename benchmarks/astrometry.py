"""What the joint solution of exposures reaches: WCS against truth, and repeats against their bound.

    python benchmarks/astrometry.py

Fields of 75 (the density of NGC 188) and 200 reference stars on a whole detector, seen in eight
dithered exposures of several rolls whose ties, scale and shear are off: positions with errors from
their signal-to-noise. Then four exposures as images: stars drawn at any place within their pixels
from an effective PSF of 16 samples a pixel, with noise, found and measured by `tessella.psf.fit`
with the workflow's own of 4. Prints tables and writes benchmarks/results/astrometry.json.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import exposures
import star_fields
import yaml

from tessella.astrometry.joint_geometry import (
    corrected_v2v3,
    tangent_offsets,
    telescope_vectors,
    unit_vectors,
)
from tessella.astrometry.joint_solution import solve_jointly
from tessella.detector.state import Blur
from tessella.models import WcsCorrection, Window
from tessella.psf.effective import EffectivePsf
from tessella.psf.fit import measure_stars
from tessella.psf.information import position_bound
from tessella.psf.model import effective_psf, optical_psf

ROOT = Path(__file__).parents[1]
OPTIONS = yaml.safe_load((ROOT / "config/default.yaml").read_text())["solve"]
STATE = yaml.safe_load((ROOT / "config/detectors/simulated.yaml").read_text())
BINS = (30, 60, 120, 250, 500, 1000, 2000, 4000)
#: Sky, dark current and read noise of a pixel of the images [electrons^2], and what 1 DN / s is in
#: electrons: 140 s at two electrons a DN.
BACKGROUND, ELECTRONS = 160.0, 280.0
STAMP = 44


def repeats(images, solution):
    """Return each kept measurement's star, image, row, and offset from its star's mean [mas]."""
    groups, used = solution.solved.groups, solution.solved.used
    rows = [np.flatnonzero(used & (groups.image == k)) for k in range(len(images))]
    offset = np.zeros((len(groups.star), 2))
    for image, item, own in zip(images, solution.images, rows, strict=True):
        at = groups.row[own]
        moved = corrected_v2v3(item.correction, image.attitude, image.v2[at], image.v3[at])
        offset[own] = tangent_offsets(telescope_vectors(image.attitude, *moved), groups.place[own])
    chosen = np.flatnonzero(used)
    star = groups.star[chosen]
    count = np.bincount(star, minlength=groups.n_stars)
    mean = np.stack([np.bincount(star, offset[chosen, i], groups.n_stars) for i in (0, 1)], -1)
    mean /= np.maximum(count, 1)[:, None]
    several = count[star] >= 2
    chosen, star = chosen[several], star[several]
    about = (offset[chosen] - mean[star]) * np.sqrt(count / np.maximum(count - 1, 1))[star, None]
    return groups.image[chosen], groups.row[chosen], about


def by_ratio(ratio, deviation, bound):
    """Return rms deviation and rms bound [mas] by signal-to-noise."""
    table = []
    for low, high in zip(BINS[:-1], BINS[1:], strict=True):
        own = (ratio >= low) & (ratio < high)
        if own.sum() < 20:
            continue
        scatter = float(np.sqrt(np.mean(deviation[own] ** 2)))
        least = float(np.sqrt(np.mean(bound[own] ** 2)))
        table.append(
            {
                "signal_to_noise": f"{low}-{high}",
                "n": int(own.sum()),
                "scatter_mas": round(scatter, 4),
                "bound_mas": round(least, 4),
                "ratio": round(scatter / least, 3),
            }
        )
    return table


def gaia_residuals(images, solution):
    """Return the mean absolute residual per axis of reference stars on the final WCS [mas]."""
    known = np.arange(len(images[0].references.ra))
    where = unit_vectors(images[0].references.ra, images[0].references.dec)
    found = []
    for image, item in zip(images, solution.images, strict=True):
        moved = corrected_v2v3(item.correction, image.attitude, image.v2, image.v3)
        directions = telescope_vectors(image.attitude, *moved)
        dot = directions @ where[known].T
        nearest = dot.argmax(axis=1)
        offset = tangent_offsets(directions, where[nearest])
        found.append(np.abs(offset[np.hypot(*offset.T) < 100]))
    return float(np.mean(np.concatenate(found)))


def errors_of(images, solution, truth):
    """Return rms per axis and largest distance from truth on a grid over all images [mas]."""
    errors = np.stack(
        [
            star_fields.wcs_error_mas(image, item.correction, true)
            for image, item, true in zip(images, solution.images, truth, strict=True)
        ]
    )
    return float(np.sqrt(np.mean(errors**2))), float(np.hypot(errors[:, 0], errors[:, 1]).max())


def before(images):
    """Return a solution that changes nothing, for the same figures."""

    class Nothing:
        images: tuple = ()

    nothing = Nothing()
    nothing.images = tuple(type("Row", (), {"correction": WcsCorrection()}) for _ in images)
    return nothing


def measured_fields(n_known, n_faint, wrong, n_fields, n_exposures=8):
    """Solve fields of stars that were measured as well as their bound allows."""
    rms, largest, tied, gaia, deviation, ratio = [], [], [], [], [], []
    for seed in range(n_fields):
        rng = np.random.default_rng([n_known, n_faint, seed])
        field = star_fields.draw_field(rng, n_known, n_faint)
        images, truth, seen = star_fields.draw_exposures(rng, field, n_exposures, wrong=wrong)
        solution = solve_jointly(images, OPTIONS)
        found = errors_of(images, solution, truth)
        rms.append(found[0])
        largest.append(found[1])
        tied.append(errors_of(images, before(images), truth)[0])
        gaia.append(gaia_residuals(images, solution))
        image, row, about = repeats(images, solution)
        deviation.append(about)
        ratio.append([field.signal_to_noise[seen[k][r]] for k, r in zip(image, row, strict=True)])
    ratio, deviation = np.concatenate(ratio), np.concatenate(deviation)
    bound = star_fields.WIDTH / ratio * 1000 * star_fields.SIDE_ARCSEC / star_fields.SIDE
    return {
        "reference_stars": n_known,
        "other_stars": n_faint,
        "spoilt_share": wrong,
        "fields": n_fields,
        "exposures": n_exposures,
        "tie_rms_mas": round(float(np.sqrt(np.mean(np.square(tied)))), 3),
        "rms_mas": round(float(np.sqrt(np.mean(np.square(rms)))), 3),
        "worst_rms_mas": round(max(rms), 3),
        "maximum_mas": round(max(largest), 3),
        "gaia_mean_absolute_mas": round(float(np.mean(gaia)), 3),
        "repeats": by_ratio(ratio, deviation, bound[:, None] * np.ones(2)),
    }


def flux_at(psf, ratio):
    """Return the flux [electrons] at which a star in the middle of a pixel has a ratio."""
    low, high = 1.0, 1e10
    for _ in range(60):
        middle = np.sqrt(low * high)
        above = position_bound(psf, 0.0, 0.0, middle, BACKGROUND, 1.0)[1] > ratio
        low, high = (low, middle) if above else (middle, high)
    return low


def image_level(n_known, element="F158", n_exposures=4, seed=5):
    """Solve exposures that were drawn as images and measured like those of the workflow."""
    rng = np.random.default_rng([seed, n_known])
    kernel = np.asarray(STATE["ipc_kernel"])
    optics = optical_psf(
        "WFI01", element, 2043.5, 2043.5, Blur(STATE["jitter_mas"], STATE["charge_diffusion_um"])
    )
    psf = EffectivePsf(effective_psf(optics, kernel), 4)
    drawn = EffectivePsf(effective_psf(optics, kernel, 16, STAMP), 16)
    field = star_fields.draw_field(rng, n_known)
    images, truth, seen = star_fields.draw_exposures(rng, field, n_exposures)
    flux = {ratio: flux_at(psf, ratio) for ratio in np.unique(field.signal_to_noise)}
    measured, bounds, pulls, biases, of_ratio, origins = [], [], [], [], [], []
    for image, true, stars in zip(images, truth, seen, strict=True):
        x, y = star_fields.true_pixels(true, field.ra[stars], field.dec[stars])
        found, match = draw_and_measure(
            rng, psf, drawn, x, y, [flux[r] for r in field.signal_to_noise[stars]]
        )
        own, other = match
        ratio = field.signal_to_noise[stars][other]
        bound = np.array(
            [
                position_bound(psf, x[j] - np.round(x[j]), y[j] - np.round(y[j]),
                               flux[field.signal_to_noise[stars[j]]], BACKGROUND, 1.0)[0]
                for j in other
            ]
        )  # fmt: skip
        error = np.stack([found.x[own] - x[other], found.y[own] - y[other]], axis=-1)
        worse = np.sqrt(np.maximum(found.chisq[own], 1))
        said = np.stack([found.x_err[own], found.y_err[own]], axis=-1)
        pulls.append(error / said)
        biases.append(error)
        bounds.append(np.sqrt(np.einsum("nii->ni", bound)))
        of_ratio.append(ratio)
        measured.append(
            star_fields.measured_image(
                image.name, image.attitude, found.x[own], found.y[own], said[:, 0] * worse,
                said[:, 1] * worse, found.flux[own], image.references,
            )
        )  # fmt: skip
        origins.append(stars[other])
    solution = solve_jointly(measured, OPTIONS)
    image, row, about = repeats(measured, solution)
    pixel = 1000 * star_fields.SIDE_ARCSEC / star_fields.SIDE
    bound = np.array([bounds[k][r] for k, r in zip(image, row, strict=True)]) * pixel
    ratio = np.array([of_ratio[k][r] for k, r in zip(image, row, strict=True)])
    rms, largest = errors_of(measured, solution, truth)
    # Axes of image and sky differ by the roll: the bound is nearly round.
    bound = np.sqrt(np.mean(bound**2, axis=1, keepdims=True)) * np.ones(2)
    all_ratio, errors = np.concatenate(of_ratio), np.concatenate(biases)
    least = np.concatenate(bounds)
    return {
        "element": element,
        "reference_stars": n_known,
        "exposures": n_exposures,
        "rms_mas": round(rms, 3),
        "maximum_mas": round(largest, 3),
        "gaia_mean_absolute_mas": round(gaia_residuals(measured, solution), 3),
        "excess_scatter_mas": round(solution.excess_scatter_mas, 4),
        "n_rejected": solution.n_rejected,
        "mean_error_pixels": [round(float(v), 6) for v in errors.mean(axis=0)],
        "centroids": by_ratio(all_ratio, errors * pixel, least * pixel),
        "pulls": by_ratio(all_ratio, np.concatenate(pulls), np.ones_like(errors)),
        "repeats": by_ratio(ratio, about, bound),
    }


def draw_and_measure(rng, psf, drawn, x, y, flux):
    """Draw a whole detector and measure its stars; return them and which is which star."""
    window = Window()
    data = np.zeros(window.active_shape)
    half = STAMP // 2
    for a, b, electrons in zip(x, y, flux, strict=True):
        columns = np.arange(max(round(a) - half, 0), min(round(a) + half + 1, data.shape[1]))
        rows = np.arange(max(round(b) - half, 0), min(round(b) + half + 1, data.shape[0]))
        data[np.ix_(rows, columns)] += electrons * drawn.evaluate_grid(columns - a, rows - b)
    variance = np.maximum(data, 0) + BACKGROUND
    data += np.sqrt(variance) * rng.standard_normal(data.shape)
    image = exposures.make_image(
        (data / ELECTRONS).astype(np.float32), 1.0, window, star_fields.CENTRE
    )
    image = replace(image, err=(np.sqrt(variance) / ELECTRONS).astype(np.float32))
    found = measure_stars(image, psf, 12.0, 3 * len(x))
    distance = np.hypot(found.x[:, None] - x, found.y[:, None] - y)
    nearest = distance.argmin(axis=1)
    own = np.flatnonzero(found.is_good & (distance.min(axis=1) < 0.5))
    return found, (own, nearest[own])


def show(title, result):
    """Print one result."""
    print(f"\n{title}")
    for key, value in result.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            print(f"  {key}:")
            for row in value:
                print("    " + "  ".join(f"{name} {cell}" for name, cell in row.items()))
        else:
            print(f"  {key}: {value}")


def main() -> None:
    """Print the tables and write them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--fields", type=int, default=20, help="fields of each kind")
    parser.add_argument("--no-images", action="store_true", help="leave the images out")
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks/results/astrometry.json")
    args = parser.parse_args()
    results = {}
    for known, faint, wrong in ((75, 0, 0.0), (200, 0, 0.0), (75, 600, 0.03), (200, 600, 0.03)):
        name = f"measured_{known}_{faint}"
        results[name] = measured_fields(known, faint, wrong, args.fields)
        show(name, results[name])
    for known in () if args.no_images else (75, 200):
        name = f"images_{known}"
        results[name] = image_level(known)
        show(name, results[name])
    args.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()

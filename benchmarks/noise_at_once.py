"""Noise of a coadd that is simulated at once over that of one whose Level 1 went the whole way.

Three exposures of a window without sources: Level 1 through the exposure pipeline and drizzling,
and `tessella.simulate.level3`. Standard deviations of sums over boxes of 1 to 32 pixels, with ideal
electronics and no hot pixels, with what is usual but for 1/f noise, and with that.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np

from tessella import flags
from tessella.astrometry.wcs import attitude_of, detector_to_sky
from tessella.coadd.accumulate import Box, ImageRows, empty_sums
from tessella.coadd.block_sums import Contribution, add_image, images_of
from tessella.coadd.places import places_of
from tessella.config import load_state
from tessella.detector.state import draw_maps
from tessella.exposure_pipeline import calibrate
from tessella.instrument.read_patterns import read_patterns
from tessella.models import ExposureKey, Lattice, Ramp, Reference, Window
from tessella.recipe import LEVEL2_STEPS
from tessella.references.make import (
    dark_decay_rows,
    measure_converter,
    measure_flat,
    measure_maps,
    photometry_row,
)
from tessella.simulate.level3 import CoaddedImage, simulate_mosaic
from tessella.simulate.observation import Conditions, observe
from tessella.simulate.pointing import planned_header
from tessella.simulate.scene import empty_rows

DETECTOR, ELEMENT, START = "WFI01", "F158", "2028-07-01T00:00:00"
POINTINGS = ((12.108, 85.255, 0.0), (12.112, 85.2553, 0.0), (12.104, 85.2547, 2.0))
OPTIONS = {
    "skip": [],
    "saturation": {"grow_pixels": 0},
    "slopes": {"rejection_threshold": 4.5, "expand_large_events": True},
    "persistence": None,
}
SCALES = (1, 2, 4, 8, 16, 32)


def references_of(state, maps):
    """Return references as the pipeline takes them, without files."""
    arrays = measure_maps(state, maps, DETECTOR)
    arrays["flat"] = measure_flat(state, maps, DETECTOR, ELEMENT)
    if state.integral_nonlinearity_dn:
        arrays["integralnonlinearity"] = measure_converter(state, DETECTOR)
    known = {name: Reference(name, name, values) for name, values in arrays.items()}
    rows = {ELEMENT: photometry_row(state, DETECTOR, ELEMENT)}
    known["photom"] = Reference("photom", "photom", {}, rows)
    known["darkdecaysignal"] = Reference("dark decay", "dark decay", {}, dark_decay_rows(state))
    return known


def ramp_of(readout, header, attitude):
    """Return what was sent as a ramp."""
    pattern = read_patterns()[header.ma_table_number]
    return Ramp(
        DETECTOR, ELEMENT, readout.window, readout.data, np.zeros(readout.data.shape, np.uint8),
        readout.amp33, pattern.reads, pattern.frame_time, attitude,
        reference_read=readout.reference_read, reference_amp33=readout.reference_amp33,
        encoding_offset=readout.encoding_offset,
    )  # fmt: skip


def processed(headers, images, lattice, window, state, options, seed):
    """Return the data of a coadd whose Level 1 went the whole way."""
    maps = draw_maps(state, DETECTOR, window)
    references = references_of(state, maps)
    conditions = Conditions(1.5, 0.0, 0.0, 4000, cosmic_rays=False, seed=seed, stray_light=0.0)
    box = Box(0, 0, lattice.nx, lattice.ny)
    sums, terms = empty_sums(box, 3), np.zeros((*lattice.shape, 4), np.float32)
    cells = np.array([[0, 0, lattice.nx, lattice.ny]])
    for k, (header, one) in enumerate(zip(headers, images, strict=True)):
        none = empty_rows(0, 61953.0)
        readout = observe(none, header, DETECTOR, window, state, conditions)
        ramp = ramp_of(readout, header, one.attitude)
        image = calibrate(LEVEL2_STEPS, ramp, references, options).image
        scale = image.conversion_megajanskys
        arrays = [
            (getattr(image, name) * scale**power).astype(np.float32)
            for name, power in (("data", 1), ("var_poisson", 2), ("var_rnoise", 2))
        ]
        good = ((image.dq & flags.DO_NOT_USE) == 0) & np.isfinite(arrays[0])
        arrays = [np.where(good, values, 0) for values in arrays]
        weight = 1 / float(np.median((arrays[1] + arrays[2])[good]))

        def rows(first, stop, arrays=arrays, good=good):
            return ImageRows(first, *(a[first:stop] for a in arrays), good[first:stop])

        places = places_of(one.to_sky, good.shape, lattice)
        item = Contribution(one.name, places, weight, 57.0, 0.0, 0.0, 0.0, np.zeros(0, int), k)
        add_image(sums, terms, item, rows, 1.0, cells)
    return images_of(sums)["data"].astype(float)


def spread(data, scale):
    """Return the standard deviation of sums over boxes, wholly known ones alone."""
    n = len(data) // scale
    boxes = data[: n * scale, : n * scale].reshape(n, scale, n, scale).sum(axis=(1, 3))
    return float(np.nanstd(boxes))


def main():
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=1024, help="of the window [pixels]")
    parser.add_argument("--rounds", type=int, default=4, help="draws that are averaged")
    parser.add_argument("--state", type=Path, default=Path("config/detectors/simulated.yaml"))
    parser.add_argument("--only", help="ideal, without or with; all by default", default="")
    args = parser.parse_args()
    first = (4096 - args.side) // 2 // 128 * 128
    window = Window(first, first, args.side, args.side)
    headers = [
        planned_header(ExposureKey(1, 1, 1, 1, 1, 1, k + 1), ELEMENT, 3, START, *at)
        for k, at in enumerate(POINTINGS)
    ]
    images = [
        CoaddedImage(
            header.key.name, header.key, DETECTOR, window,
            attitude_of(DETECTOR, *at, START), 3,
        )
        for header, at in zip(headers, POINTINGS, strict=True)
    ]  # fmt: skip
    side = int(1.5 * args.side) // 32 * 32
    middle = first + args.side / 2
    ra, dec = detector_to_sky(images[0].attitude, DETECTOR, middle, middle)
    lattice = Lattice(
        float(ra), float(dec) + 0.3, side / 2, side / 2 + 0.3 * 3600 / 0.055, 0.055, side, side
    )
    whole = load_state(args.state.parent, args.state.stem)
    # Of snowballs, halos are left over.
    whole = replace(whole, snowballs_per_cm2_s=0.0)
    quiet = replace(whole, correlated_noise_dn=0.0, channel_noise_dn=0.0)
    # Hot pixels shine into their neighbours, by capacitance; their halos are noise in sums.
    ideal = replace(
        quiet,
        channel_drift_dn=0.0,
        dark_decay_dn=0.0,
        integral_nonlinearity_dn=0.0,
        hot_pixel_fraction=0.0,
    )
    # Reference pixels that show nothing but their own noise are not subtracted.
    bare = {**OPTIONS, "skip": ["reference_pixels"]}
    variants = {
        "ideal electronics": (ideal, bare),
        "without 1/f noise": (quiet, OPTIONS),
        "with 1/f noise": (whole, OPTIONS),
    }
    for name, (state, options) in variants.items():
        if not name.startswith(args.only):
            continue
        found = {scale: ([], []) for scale in SCALES}
        for seed in range(1, args.rounds + 1):
            none = empty_rows(0, 61953.0)
            made = simulate_mosaic(none, images, lattice, ELEMENT, state, 1.5, 1.0, seed)
            long = processed(headers, images, lattice, window, state, options, seed)
            for scale in SCALES:
                for values, data in zip(found[scale], (made.data.astype(float), long), strict=True):
                    values.append(spread(data, scale) ** 2)
        for scale, (at_once, long) in found.items():
            boxes = (side // scale) ** 2 * args.rounds * min(1.0, scale**2 / 10)
            ratio = np.sqrt(np.mean(at_once) / np.mean(long))
            print(f"{name}: {scale:2d} pixels {ratio:.4f} +- {1 / np.sqrt(boxes):.4f}", flush=True)


if __name__ == "__main__":
    main()

"""A cell that three planned exposures cover, made at once and from Level 2 images."""

from dataclasses import replace
from functools import cache

import exposures
import numpy as np

from tessella.astrometry.wcs import attitude_of, detector_to_sky
from tessella.coadd.accumulate import Box, empty_sums
from tessella.coadd.block_sums import Contribution, add_image, images_of, noise_correlation
from tessella.coadd.places import places_of
from tessella.detector.state import draw_maps
from tessella.instrument.read_patterns import read_patterns
from tessella.io.level2_pixels import Rows
from tessella.models import ExposureKey, Lattice, Window
from tessella.simulate.level2 import simulate_image
from tessella.simulate.level3 import CoaddedImage, simulate_mosaic
from tessella.simulate.observation import Conditions
from tessella.simulate.pointing import planned_header

WINDOW = Window(1664, 1664, 768, 768)
CONDITIONS = Conditions(1.5, 0.0, 0.0, 4000, cosmic_rays=False, seed=3, stray_light=0.0)
STATE = replace(exposures.STATE, hot_pixel_fraction=0.0, dead_pixel_fraction=0.0)
START = "2028-07-01T00:00:00"
POINTINGS = ((12.108, 85.255, 0.0), (12.112, 85.2553, 0.0), (12.104, 85.2547, 2.0))
HEADERS = tuple(
    planned_header(ExposureKey(1, 1, 1, 1, 1, 1, k + 1), "F158", 3, START, *at)
    for k, at in enumerate(POINTINGS)
)
CENTER = detector_to_sky(attitude_of("WFI01", *POINTINGS[0], START), "WFI01", 2048.0, 2048.0)
SIDE = 1120
LATTICE = Lattice(float(CENTER[0]), float(CENTER[1]) + 0.3, 560.0, 560.0 + 0.3 * 3600 / 0.055,
                  0.055, SIDE, SIDE)  # fmt: skip
SECONDS = read_patterns()[3].exposure_time


def planned(header):
    attitude = attitude_of("WFI01", header.target_ra, header.target_dec, header.pa_aperture, START)
    return CoaddedImage(header.key.name, header.key, "WFI01", WINDOW, attitude, 3)


def at_once(truth, seed=3):
    images = [planned(header) for header in HEADERS]
    return simulate_mosaic(truth, images, LATTICE, "F158", STATE, 1.5, 1.0, seed)


@cache
def known():
    return exposures.make_references(STATE, draw_maps(STATE, "WFI01", WINDOW))


def processed(truth, seed=3):
    """Level 2 images, drizzled as the pipeline does it with skies that are known."""
    references = known()
    box = Box(0, 0, SIDE, SIDE)
    sums, terms = empty_sums(box, 3), np.zeros((SIDE, SIDE, 4), np.float32)
    parts = []
    for k, header in enumerate(HEADERS):
        conditions = replace(CONDITIONS, seed=seed)
        image = simulate_image(truth, header, "WFI01", WINDOW, STATE, conditions, references)
        scale = image.conversion_megajanskys
        data, poisson, read = (
            (getattr(image, name) * scale**power).astype(np.float32)
            for name, power in (("data", 1), ("var_poisson", 2), ("var_rnoise", 2))
        )
        good = np.isfinite(data) & ((image.dq & 1) == 0)
        places = places_of(planned(header).to_sky, data.shape, LATTICE)
        weight = 1 / float(np.median(poisson + read))

        def rows(first, stop, arrays=(data, image.dq, poisson, read, good)):
            return Rows(*(array[first:stop] for array in arrays))

        item = Contribution(
            header.key.name, places, weight, SECONDS, 0.0, 0.0, 0.0, np.zeros(0, np.int64), k
        )
        found = add_image(sums, terms, item, rows, 1.0, np.array([[0, 0, SIDE, SIDE]]))
        parts.append((weight, found[0]))
    return images_of(sums), noise_correlation(parts)

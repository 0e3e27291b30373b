"""What a simulated exposure of a whole detector costs, and a crowded field.

    python benchmarks/bench_simulate.py [--repeat 3] [--crowd 1000000]

One detector of 4096 x 4096 pixels with 10,000 stars and 10,000 galaxies, 46 reads in 8 resultants,
every effect of config/detectors/simulated.yaml on, goes from sources to Level 1; and the light of a
field of a million stars is drawn. Each in a process of its own; sources are seeded. It prints CPU
and wall seconds and peak memory, and writes benchmarks/results/simulate.json.
"""

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from bench_level3 import run

import tessella
from tessella.config import load_state
from tessella.detector.state import draw_maps
from tessella.instrument.optical_elements import ab_zero_point
from tessella.instrument.read_patterns import ReadPattern
from tessella.models import ExposureKey, Window
from tessella.psf.model import NOMINAL_PIXEL_ARCSEC
from tessella.simulate.exposure import expose
from tessella.simulate.image import Sources, rate_image, sky_rate

ROOT = Path(__file__).parents[1]
DETECTOR, ELEMENT, SEED = "WFI01", "F158", 1
WINDOW = Window()
PATTERN = ReadPattern(9999, "BENCH", (1, 1, 2, 4, 8, 8, 10, 12))
#: North up.
JACOBIAN = np.array([[-1, 0], [0, 1]]) / NOMINAL_PIXEL_ARCSEC


def field(n_stars: int, n_galaxies: int) -> Sources:
    """Return sources of magnitude 18 to 26; their counts rise by 10**(0.3 mag), as the sky's do."""
    rng, n = np.random.default_rng(SEED), n_stars + n_galaxies
    brightest, faintest, rise = 18.0, 26.0, 0.3
    span = 10 ** (rise * (faintest - brightest)) - 1
    mag = brightest + np.log10(1 + rng.random(n) * span) / rise
    ny, nx = WINDOW.active_shape
    return Sources(
        x=rng.uniform(0, nx, n),
        y=rng.uniform(0, ny, n),
        rate=10 ** (-0.4 * (mag - ab_zero_point(DETECTOR, ELEMENT))),
        sersic=np.where(np.arange(n) < n_stars, -1.0, rng.choice([1.0, 1.5, 2.5, 4.0], n)),
        half_light_radius=np.clip(0.45 * 10 ** (-0.1 * (mag - 22)), 0.06, 1.2),
        pa=rng.uniform(0, 180, n),
        ba=rng.uniform(0.3, 1.0, n),
    )


def simulate(n_stars: int, n_galaxies: int, with_reads: bool) -> dict[str, float]:
    """Draw a field, and expose a detector to it; seconds of CPU of the parts."""
    state = load_state(ROOT / "config" / "detectors", "simulated")
    start = time.process_time()
    light = rate_image(
        field(n_stars, n_galaxies), JACOBIAN, WINDOW, DETECTOR, ELEMENT, state.blur
    )  # fmt: skip
    drawn = time.process_time()
    taken = {"light_cpu_s": drawn - start}
    if with_reads:
        light += sky_rate(ELEMENT, 1.5)
        maps = draw_maps(state, DETECTOR, WINDOW)
        taken["maps_cpu_s"] = time.process_time() - drawn
        key, began = ExposureKey(1, 1, 1, 1, 1, 1, 1), time.process_time()
        expose(np.maximum(light, 0), maps, state, PATTERN, DETECTOR, key, SEED, 4000)
        taken["reads_cpu_s"] = time.process_time() - began
    return taken


def main() -> None:
    """Print the figures and write them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeat", type=int, default=3, help="how often the detector is exposed")
    parser.add_argument("--crowd", type=int, default=1_000_000, help="stars of the crowded field")
    parser.add_argument("--part", nargs=4, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.part:
        out, *numbers = args.part
        n_stars, n_galaxies, with_reads = map(int, numbers)
        Path(out).write_text(json.dumps(simulate(n_stars, n_galaxies, bool(with_reads))))
        return
    # Kernels are compiled first, by a field of three stars and a galaxy.
    fields = [("warm", 3, 1, 1)] + [("detector", 10_000, 10_000, 1)] * args.repeat
    fields.append(("crowd", args.crowd, 0, 0))
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for what, *numbers in fields:
            out = Path(folder) / "parts.json"
            command = [sys.executable, __file__, "--part", str(out), *map(str, numbers)]
            row = {"what": what, **run(command, Path(folder)), **json.loads(out.read_text())}
            if what != "warm":
                rows.append(row)
                told = "  ".join(f"{k} {v:.2f}" for k, v in row.items() if k != "what")
                print(f"{what:10} {told}")
    content = {
        "machine": {"cores": os.cpu_count(), "system": platform.platform()},
        "software": f"tessella {tessella.__version__}",
        "n_stars": args.crowd,
        "rows": rows,
    }
    path = Path(__file__).parent / "results" / "simulate.json"
    path.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()

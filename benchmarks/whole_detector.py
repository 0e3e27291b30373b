"""A ramp of a whole detector with its truth, for the benchmark of Level 1 to Level 2.

    python benchmarks/whole_detector.py FOLDER [--seed 1]

writes l1 (8, 4096, 4096), l1_16 (16, 4096, 4096), gain, rn, dark, flat, rate and crtruth.npy: a sky
of half an electron a second, 20,000 stars and galaxies, the same 46 reads in 8 and in 16
resultants, cosmic rays; linear, without electronics, so that every tool may be held against the
same truth. Some two minutes.
"""

import argparse
import sys
from pathlib import Path

import numpy as np

from tessella.detector.cosmic_rays import draw_cosmic_rays
from tessella.models import BORDER, DETECTOR_SIZE

SIZE, FRAME_TIME, PEDESTAL = DETECTOR_SIZE, 3.04, 5000.0
#: Reads of each resultant.
READS = {
    "l1": (1, 1, 2, 4, 8, 8, 10, 12),
    "l1_16": (1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 4, 4),
}
SKY, N_SOURCES, REACH = 0.5, 20_000, 18


def make_scene(rng: np.random.Generator) -> np.ndarray:
    """Return the light of the scene, (4096, 4096) [electrons / s]."""
    rate = np.full((SIZE, SIZE), SKY, np.float32)
    offsets = np.arange(-REACH, REACH + 1)
    for x, y in rng.uniform(REACH + 2, SIZE - REACH - 2, (N_SOURCES, 2)):
        flux, width = 10 ** rng.uniform(-0.5, 3.5) * rng.beta(1, 4), rng.uniform(0.8, 3.0)
        column, row = int(x), int(y)
        profile_x = np.exp(-0.5 * ((offsets + column - x) / width) ** 2)
        profile_y = np.exp(-0.5 * ((offsets + row - y) / width) ** 2)
        stamp = np.outer(profile_y, profile_x)
        rows = slice(row - REACH, row + REACH + 1)
        rate[rows, column - REACH : column + REACH + 1] += flux * stamp / stamp.sum()
    return rate


def make_ramp(folder: Path, seed: int) -> None:
    """Draw the detector, expose it and write all arrays."""
    rng = np.random.default_rng(seed)

    def spread(mean: float, relative: float) -> np.ndarray:
        values = mean * (1 + relative * rng.standard_normal((SIZE, SIZE), np.float32))
        return values.clip(0.7 * mean, 1.3 * mean)

    gain, noise, flat = spread(1.75, 0.05), spread(15 / 1.75, 0.1), spread(1.0, 0.02)
    dark = rng.gamma(2, 0.005, (SIZE, SIZE)).astype(np.float32)
    rate = make_scene(rng)
    light = (rate * flat + dark) * FRAME_TIME
    light[:BORDER] = light[-BORDER:] = light[:, :BORDER] = light[:, -BORDER:] = 0
    active = np.s_[BORDER:-BORDER, BORDER:-BORDER]
    charge, hit = np.zeros((SIZE, SIZE), np.float32), np.zeros((SIZE, SIZE), np.uint8)
    ramps = {name: np.empty((len(n), SIZE, SIZE), np.uint16) for name, n in READS.items()}
    totals = {name: np.zeros((SIZE, SIZE), np.float32) for name in READS}
    last = {name: np.cumsum(n_reads).tolist() for name, n_reads in READS.items()}
    n_all = sum(READS["l1"])
    for read in range(1, n_all + 1):
        charge += rng.poisson(light)
        rays = draw_cosmic_rays(charge[active].shape, FRAME_TIME, rng)
        # What falls before the end of the first resultant leaves no jump in the ramp.
        hit[active] |= (rays > 0) & (read > 1)
        charge[active] += rays
        counts = np.minimum(charge, 1e5) / gain + PEDESTAL
        counts += noise * rng.standard_normal((SIZE, SIZE), np.float32)
        for name, total in totals.items():
            total += counts
            if read in last[name]:
                number = last[name].index(read)
                ramps[name][number] = np.rint(total / READS[name][number]).clip(0, 65535)
                total[:] = 0
        sys.stderr.write(f"\rread {read} of {n_all}")
    sys.stderr.write("\n")
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {**ramps, "gain": gain, "rn": noise, "dark": dark, "flat": flat}
    for name, values in {**arrays, "rate": rate, "crtruth": hit}.items():
        np.save(folder / f"{name}.npy", values)


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    make_ramp(args.folder, args.seed)


if __name__ == "__main__":
    main()

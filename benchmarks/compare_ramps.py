"""Our slopes and jumps beside those of stcal's likelihood fit, on the same ramps.

Ramps of pixels with sky, sources and cosmic rays are drawn read by read, in two patterns of 8 and
16 resultants; both fit them, with the same gain, noise and threshold:

    python benchmarks/compare_ramps.py --peer PYTHON --work scratch [--rows 256]

It prints how far the slopes are apart, how many pixels have the same jumps and what differs in
those that have not; all of it goes to benchmarks/results/ramps.json. PYTHON holds stcal 1.20.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
from whole_detector import FRAME_TIME, READS

from tessella import flags
from tessella.instrument.read_patterns import ReadPattern
from tessella.ramps.likelihood import fit_slopes
from tessella.ramps.timing import difference_timing

THRESHOLD = 4.5
PEDESTAL_DN = 5000.0


def draw(n_reads: tuple[int, ...], n_rows: int, seed: int) -> dict[str, np.ndarray]:
    """Draw ramps [DN] of rates from 0.1 to 1000 electrons / s, one pixel in fifty hit."""
    rng = np.random.default_rng(seed)
    shape = (n_rows, 4096)
    rate = 10 ** rng.uniform(-1, 3, shape)
    gain = rng.normal(1.8, 0.05, shape).astype(np.float32)
    noise = rng.normal(6.5, 0.4, shape).astype(np.float32)
    hit_read = np.where(rng.random(shape) < 0.02, rng.integers(1, sum(n_reads), shape), -1)
    energy = 10 ** rng.uniform(1.5, 4, shape)
    charge = np.zeros(shape)
    resultants, read = [], 0
    for n in n_reads:
        total = np.zeros(shape)
        for _ in range(n):
            charge += rng.poisson(rate * FRAME_TIME) + np.where(hit_read == read, energy, 0)
            total += PEDESTAL_DN + charge / gain + noise * rng.standard_normal(shape)
            read += 1
        resultants.append(np.rint(total / n))
    data = np.array(resultants, np.float32)
    return {"data": data, "gain": gain, "read_noise": noise, "n_reads": np.array(n_reads)}


def ours(given: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Fit by our code."""
    pattern = ReadPattern(1, "benchmark", tuple(given["n_reads"].tolist()), FRAME_TIME)
    start = time.process_time()
    fit = fit_slopes(
        given["data"],
        np.zeros(given["data"].shape, np.uint8),
        given["gain"],
        given["read_noise"],
        difference_timing(pattern.reads, FRAME_TIME),
        given["n_reads"] > 1,
        THRESHOLD,
    )
    taken = time.process_time() - start
    error = np.sqrt(fit.var_poisson + fit.var_rnoise)
    hit = (fit.resultant_dq & flags.JUMP_DET) != 0
    return {"slope": fit.slope, "error": error, "hit": hit, "cpu_s": np.array(taken)}


def compare(
    mine: dict[str, np.ndarray], peer: dict[str, np.ndarray], several: np.ndarray
) -> dict[str, float]:
    """Compare the two, pixel by pixel.

    stcal flags both differences that a hit within a resultant spoils, we the first of them.
    """
    flagged = mine["hit"].any(axis=0), peer["hit"].any(axis=0)
    shifted = np.zeros_like(mine["hit"])
    shifted[1:] = mine["hit"][:-1] & several[:-1, None, None]
    same = ((mine["hit"] | (shifted & peer["hit"])) == peer["hit"]).all(axis=0)
    difference = np.abs(mine["slope"] - peer["slope"]) / mine["error"]
    return {
        "pixels": same.size,
        "with_jumps": float(flagged[1].mean()),
        "same_differences_left_out": float(same.mean()),
        "same_pixels_flagged": float((flagged[0] == flagged[1]).mean()),
        "flagged_by_us_alone": int((flagged[0] & ~flagged[1]).sum()),
        "flagged_by_stcal_alone": int((~flagged[0] & flagged[1]).sum()),
        "slope_difference_in_errors_median": float(np.median(difference[same])),
        "slope_difference_in_errors_99.9_percent": float(np.quantile(difference[same], 0.999)),
        "slope_difference_in_errors_largest": float(difference[same].max()),
        "error_ratio_median": float(np.median((mine["error"] / peer["error"])[same])),
        "cpu_ratio": float(peer["cpu_s"] / mine["cpu_s"]),
    }


def main() -> None:
    """Print the figures and write them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer", required=True, help="Python that holds stcal 1.20")
    parser.add_argument("--work", type=Path, required=True, help="folder for the ramps")
    parser.add_argument("--rows", type=int, default=256, help="rows of 4096 pixels")
    args = parser.parse_args()
    args.work.mkdir(parents=True, exist_ok=True)
    script = Path(__file__).with_name("peer_ramps.py")
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    content = {}
    for seed, n_reads in enumerate(READS.values()):
        given = draw(n_reads, args.rows, seed)
        ramps, told = args.work / "ramps.npz", args.work / "stcal.npz"
        np.savez(ramps, **given, threshold=THRESHOLD, frame_time=FRAME_TIME)
        command = [args.peer, script, ramps, told]
        subprocess.run(command, check=True, env=os.environ | limits)
        ours({**given, "data": given["data"][:, :1], **_rows(given, 1)})  # compiles
        several = given["n_reads"] > 1
        content[f"{len(n_reads)} resultants"] = compare(ours(given), dict(np.load(told)), several)
    text = json.dumps(content, indent=1)
    sys.stdout.write(text + "\n")
    (Path(__file__).parent / "results" / "ramps.json").write_text(text + "\n")


def _rows(given: dict[str, np.ndarray], n: int) -> dict[str, np.ndarray]:
    return {name: given[name][:n] for name in ("gain", "read_noise")}


if __name__ == "__main__":
    main()

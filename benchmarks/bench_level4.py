"""What a catalog of a whole cell in three bands costs, and how good it is.

    python benchmarks/bench_level4.py WORK [--size 5000] [--peer PYTHON]

A square of four exposures a band, with 12,000 stars and 3,000 galaxies on 5000 x 5000 pixels, is
simulated at once (`tessella simulate level3`, some minutes, kept in WORK). In a process of its own
sources are detected and measured in all bands; it prints CPU seconds of each measurement, the peak
of memory, and errors against truth, and writes benchmarks/results/level4.json. With a Python that
holds sep, the detection of the same image by sep stands beside it.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import ascii as text_tables
from astropy.table import Table
from bench_level3 import run
from scipy.spatial import cKDTree

import tessella
from tessella.astrometry.pixel_area import nominal_pixel_area_arcsec2
from tessella.astrometry.tangent import sky_to_pixel
from tessella.config import load_state
from tessella.io.level3 import read_mosaic
from tessella.io.members import read_members
from tessella.measurements import measure_band, measure_detection
from tessella.photometry.band import EncircledEnergy, prepare_band
from tessella.psf.coadd import coadd_psf
from tessella.psf.effective import EffectivePsf
from tessella.psf.encircled import encircled_energy
from tessella.psf.model import effective_psf, optical_psf
from tessella.sources.detect import detect

ROOT = Path(__file__).parents[1]
ELEMENTS = ("F106", "F129", "F158")
DETECTOR, CENTER, SEED = "WFI01", 2043.5, 1
#: Where detector WFI01 looks in the exposures of the demo.
AT = 11.28, 85.29
#: In a cell of 5000 x 5000 pixels.
N_STARS, N_GALAXIES = 12_000, 3_000
#: nJy of a maggy.
NANOJANSKY = 3.631e12
RADII = np.concatenate([np.arange(0.05, 0.5, 0.05), np.arange(0.5, 3.01, 0.1)])
DETECT = {
    "background_box_pixels": 100, "kernel_fwhm_pixels": 2.8, "threshold_sigma": 5.0, "n_pixels": 8,
    "deblend": True, "deblend_contrast": 0.0003, "halo_contrast": 0.01,
}  # fmt: skip
MEASURE = {"background_box_pixels": 100, "source_margin_pixels": 6}
SEP = """
import json, sys, time
import numpy as np, sep
data, err = np.load(sys.argv[1])
data = np.ascontiguousarray(np.nan_to_num(data)); err = np.nan_to_num(err, nan=1e9, posinf=1e9)
sep.set_extract_pixstack(10_000_000)
start = time.process_time()
background = sep.Background(data, bw=100, bh=100)
data = data - background
kernel = np.exp(-0.5 * (np.arange(-4, 5)[:, None] ** 2 + np.arange(-4, 5) ** 2) / 1.19**2)
found = sep.extract(data, 1.5, err=err, minarea=8, filter_kernel=kernel, deblend_nthresh=32,
                    deblend_cont=0.0003)
print(json.dumps({"cpu_s": time.process_time() - start, "n": len(found)}))
"""


def make_inputs(work: Path, size: int) -> None:
    """Simulate the coadds of all bands."""
    area = (size / 5000) ** 2
    n_stars, n = round(N_STARS * area), round((N_STARS + N_GALAXIES) * area)
    rng = np.random.default_rng(SEED)
    half = 0.55 * size * 0.055 / 3600
    brightest, faintest, rise = 19.0, 26.5, 0.25
    mag = (
        brightest + np.log10(1 + rng.random(n) * (10 ** (rise * (faintest - brightest)) - 1)) / rise
    )
    is_star = np.arange(n) < n_stars
    table = Table(
        {
            "ra": AT[0] + rng.uniform(-half, half, n) / np.cos(np.radians(AT[1])),
            "dec": AT[1] + rng.uniform(-half, half, n),
            "type": np.where(is_star, "PSF", "SER"),
            "n": np.where(is_star, -1.0, rng.choice([1.0, 2.5], n)),
            "half_light_radius": np.where(is_star, 0.0, rng.uniform(0.1, 0.5, n)),
            "pa": rng.uniform(0, 180, n),
            "ba": rng.uniform(0.3, 1.0, n),
        }
    )
    for element, colour in zip(ELEMENTS, (0.3, 0.1, 0.0), strict=True):
        table[element] = 10 ** (-0.4 * (mag + colour * rng.uniform(-1, 3, n)))
    table.write(work / "truth.ecsv", overwrite=True)
    for element in ELEMENTS:
        program = [sys.executable, "-m", "tessella", "simulate", "level3", str(work / "truth.ecsv")]
        told = ["--exposures", str(ROOT / "config/exposures/demo.ecsv"), "--filter", element]
        place = ["--at", *map(str, AT), "--size", str(size), "--out", str(work)]
        subprocess.run([*program, *told, *place], check=True)


def optics_of(element: str, pixfrac: float) -> tuple[EffectivePsf, EncircledEnergy]:
    """Return the PSF and the encircled energy that references would have."""
    state = load_state(ROOT / "config" / "detectors", "simulated")
    optics = optical_psf(DETECTOR, element, CENTER, CENTER, state.blur)
    kernel, pixel = np.array(state.ipc_kernel), np.sqrt(nominal_pixel_area_arcsec2(DETECTOR))
    stamp = effective_psf(optics, kernel, 4)
    energy = encircled_energy(optics, kernel, RADII, pixfrac, detector_pixel_arcsec=pixel)
    return EffectivePsf(stamp, 4), EncircledEnergy(RADII, energy)


def probe(work: Path, told: Path) -> None:
    """Be the process: detect and measure, and write what each took and what was found."""
    taken: dict[str, Any] = {}
    last = time.process_time()

    def took(name: str) -> None:
        nonlocal last
        now = time.process_time()
        taken[name], last = now - last, now

    paths = {e: next(work.glob(f"*_{e.lower()}_coadd.asdf")) for e in ELEMENTS}
    optics = {e: optics_of(e, read_members(path).pixfrac) for e, path in paths.items()}
    took("optics, which references hold")
    mosaics = {element: read_mosaic(path) for element, path in paths.items()}
    took("read")
    detection = detect(list(mosaics.values()), **DETECT)
    took("detect")
    detected, seconds = measure_detection(detection)
    taken |= {f"detection: {name}": value for name, value in seconds.items()}
    took("measure detection")
    np.savez(work / "detected.npz", **detected)
    bands = {}
    for element, mosaic in mosaics.items():
        members, (psf, energy) = read_members(paths[element]), optics[element]
        whole = coadd_psf(mosaic.lattice, members.views(), {DETECTOR: psf}, members.pixfrac)
        bands[element] = prepare_band(mosaic, detection, energy, whole, **MEASURE)
    took("prepare bands")
    for element, band in bands.items():
        # Colours are matched to the reddest band.
        own = band if element == ELEMENTS[-1] else replace(band, reference=bands[ELEMENTS[-1]])
        columns, seconds = measure_band(own, detected)
        taken |= {f"{element}: {name}": value for name, value in seconds.items()}
        took(f"measure {element}")
        np.savez(work / f"{element}.npz", **columns)
    told.write_text(json.dumps(taken))


def against_truth(work: Path) -> dict[str, Any]:
    """Hold fluxes and places of isolated stars against truth."""
    truth = text_tables.read(work / "truth.ecsv", format="ecsv")
    detected = np.load(work / "detected.npz")
    lattice = read_mosaic(next(work.glob("*_f158_coadd.asdf"))).lattice
    x, y = sky_to_pixel(lattice, np.asarray(truth["ra"]), np.asarray(truth["dec"]))
    margin = 40
    inside = (x > margin) & (x < lattice.nx - margin) & (y > margin) & (y < lattice.ny - margin)
    apart, _ = cKDTree(np.column_stack([x, y])).query(np.column_stack([x, y]), k=2)
    alone = inside & (apart[:, 1] > 20) & (np.asarray(truth["type"]) == "PSF")
    places = np.column_stack([detected["x_centroid"], detected["y_centroid"]])
    places = np.nan_to_num(places, nan=-1e6)
    distance, index = cKDTree(places).query(np.column_stack([x, y]))
    found: dict[str, Any] = {"detected": len(places), "true": int(inside.sum())}
    for element in ELEMENTS:
        columns = np.load(work / f"{element}.npz")
        flux = np.asarray(truth[element]) * NANOJANSKY
        matched = alone & (distance < 3)
        own = {name: columns[name][index] for name in columns.files}
        signal = flux / own["psf_flux_err"]
        for name, low, high in (("20 to 100", 20, 100), ("above 100", 100, 1e9)):
            good = matched & (signal > low) & (signal < high) & (own["psf_flags"] == 0)
            ratio = own["psf_flux"][good] / flux[good]
            pull = (own["psf_flux"][good] - flux[good]) / own["psf_flux_err"][good]
            px = (own["x_psf"][good] - x[good]) / own["x_psf_err"][good]
            found[f"{element}, stars of S/N {name}"] = {
                "n": int(good.sum()),
                "flux_bias": float(np.median(ratio) - 1),
                "flux_scatter": _spread(ratio),
                "flux_pull": _spread(pull),
                "x_pull": _spread(px),
                "x_offset_pixels": float(np.median(own["x_psf"][good] - x[good])),
                "gof": float(np.median(own["psf_gof"][good])),
            }
    return found


def _spread(values: np.ndarray) -> float:
    return float(1.4826 * np.median(np.abs(values - np.median(values))))


def run_sep(work: Path, python: str) -> dict[str, float]:
    """Let sep find and deblend the sources of one band."""
    mosaic = read_mosaic(next(work.glob("*_f158_coadd.asdf")))
    path = work / "for_sep.npy"
    np.save(path, np.stack([mosaic.data, mosaic.err]).astype(np.float32))
    done = subprocess.run([python, "-c", SEP, path], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Print the figures and write them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, help="folder for 3 GB of files")
    parser.add_argument("--size", type=int, default=5000, help="side of the cell [pixels]")
    parser.add_argument("--peer", help="Python that holds sep, to compare with it")
    args = parser.parse_args()
    work = args.work.resolve()
    work.mkdir(parents=True, exist_ok=True)
    if not (work / "ready").exists():
        make_inputs(work, args.size)
        (work / "ready").touch()
    told = work / "told.json"
    command = [sys.executable, __file__, "--probe", str(work), str(told)]
    run(command, work)  # kernels are compiled, and files in memory
    whole = run(command, work)
    content = {
        "machine": {"cores": os.cpu_count(), "system": platform.platform()},
        "software": f"tessella {tessella.__version__}",
        "size": args.size,
        "whole": whole,
        "parts, CPU s": json.loads(told.read_text()),
        "against truth": against_truth(work),
        "sep": run_sep(work, args.peer) if args.peer else None,
    }
    print(json.dumps(content, indent=1))
    out = Path(__file__).parent / "results" / "level4.json"
    out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--probe"]:
        probe(Path(sys.argv[2]), Path(sys.argv[3]))
    else:
        main()

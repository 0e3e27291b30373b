"""How much memory the stages of a patch take with 8, 64 and 512 images.

    python benchmarks/coadd_memory.py WORK [--numbers 8 64 512]

Windows of 1024 x 1024 pixels about one place, of noise and cosmic rays, go through match_skies,
find_outliers and coadd_patch on a patch of 2600 x 2600 pixels, in processes of their own. It prints
the peak of each and CPU seconds an image, and writes benchmarks/results/coadd_memory.json.
"""

import argparse
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from bench_level3 import ROOT, run
from level3_inputs import (
    CONVERSION,
    DETECTOR,
    ELEMENT,
    attitude_at,
    choose_cell,
    write_level2,
    write_nothing_to_correct,
)

import tessella
from tessella.astrometry.gwcs_model import build_gwcs
from tessella.astrometry.pixel_area import nominal_pixel_area_arcsec2
from tessella.astrometry.tangent import pixel_to_sky, sky_to_pixel
from tessella.astrometry.wcs import detector_to_sky
from tessella.config import load, section
from tessella.io.runs import start_run
from tessella.models import Attitude, Image, Lattice, Window
from tessella.sky.tessellation import lattice_of, place_of, regions

WINDOW = Window(1536, 1536, 1024, 1024)
SIDE, SPREAD, NOISE, N_RAYS = 2600, 12.0, 0.05, 250
STAGES = ("match_skies", "find_outliers", "coadd_patch")


def expose(attitude: Attitude, rng: np.random.Generator) -> Image:
    """Return a window of sky, noise and cosmic rays."""
    shape = WINDOW.active_shape
    data = (0.5 + NOISE * rng.standard_normal(shape)).astype(np.float32)
    data.ravel()[rng.choice(data.size, N_RAYS, replace=False)] += rng.lognormal(1.0, 0.8, N_RAYS)
    variance, nothing = np.full(shape, NOISE**2 / 2, np.float32), np.zeros(shape, np.float32)
    return Image(
        detector=DETECTOR,
        optical_element=ELEMENT,
        window=WINDOW,
        data=data,
        dq=np.zeros(shape, np.uint32),
        err=np.sqrt(2 * variance),
        var_poisson=variance,
        var_rnoise=variance,
        var_flat=nothing,
        chisq=nothing,
        dumo=nothing,
        jumps=np.zeros((0, 3), np.int16),
        attitude=attitude,
        wcs=build_gwcs(attitude, DETECTOR, WINDOW),
        conversion_megajanskys=CONVERSION,
        conversion_uncertainty=0.01,
        pixel_area_sr=nominal_pixel_area_arcsec2(DETECTOR) * (np.pi / 648000) ** 2,
    )


def make_images(work: Path, n: int) -> None:
    """Write the images of all numbers, and the patch about them."""
    cell = choose_cell()
    ra, dec = (float(v) for v in pixel_to_sky(cell, cell.nx / 2 - 0.5, cell.ny / 2 - 0.5))
    folder = start_run(work / "run").folder
    (folder / "level2").mkdir(parents=True, exist_ok=True)
    for number in range(1, n + 1):
        rng = np.random.default_rng(number)
        attitude = attitude_at((ra, dec), *rng.uniform(-SPREAD, SPREAD, 2), float(number % 7))
        write_level2(folder / "level2", number, expose(attitude, rng))
        sys.stderr.write(f"\rimage {number} of {n}" + "\n" * (number == n))
    write_nothing_to_correct(folder, cell)
    first = attitude_at((ra, dec), 0.0, 0.0, 0.0)
    middle = [WINDOW.x + WINDOW.nx / 2 - 4.5, WINDOW.y + WINDOW.ny / 2 - 4.5]
    offsets = sky_to_pixel(cell, *detector_to_sky(first, DETECTOR, *middle))
    x, y = (
        at + round(float(offset)) - SIDE // 2
        for at, offset in zip(place_of(cell), offsets, strict=True)
    )
    patch = lattice_of(regions()[cell.region], x, y, SIDE, SIDE)
    (work / "patch.json").write_text(json.dumps(vars(patch)))


def commands(work: Path, n: int) -> dict[str, list[str]]:
    """Return the commands of the stages with the first `n` images, as the rules have them."""
    patch = Lattice(**json.loads((work / "patch.json").read_text()))
    images = sorted((work / "run" / "level2").glob("*_cal.asdf"))[:n]
    wcs = [path.with_name(path.name.replace("_cal", "_wcs")) for path in images]
    level3 = work / "run" / "level3"
    files = {name: level3 / f"{name}{n}.h5" for name in ("inputs", "solution", "sums")}
    for path in files.values():
        path.unlink(missing_ok=True)
    default = ROOT / "config" / "default.yaml"
    given = {"source": "level2", "level2_folder": str(images[0].parent)}
    options = load(yaml.safe_load(default.read_text()) | given, [default])
    coadd = json.loads(section(options.coadd)) | {"block_pixels": SIDE}
    whole = {"grouping": "full", "lattice": vars(patch), "tiles": [vars(patch)]}
    astrometry = level3 / f"region{patch.region:04d}_astrometry.ecsv"
    words: dict[str, list[Any]] = {
        "match_skies": [
            *("--options", section(options.sky_match), "--region", patch.region),
            *("--images", *images, "--wcs", *wcs, "--astrometry", astrometry),
            *("--inputs", files["inputs"]),
        ],
        "find_outliers": [
            *("--options", section(options.outliers), "--patch", "full_0001x06y06"),
            *("--lattice", json.dumps(vars(patch)), "--ranks", 1, "--images", *images),
            *("--inputs", files["inputs"], "--solution", files["solution"]),
        ],
        "coadd_patch": [
            *("--options", json.dumps(coadd), "--patch", json.dumps(whole), "--ranks", 1),
            *("--solution", files["solution"], "--images", *images, "--sums", files["sums"]),
        ],
    }
    scripts = ROOT / "workflow_scripts"
    return {
        stage: [sys.executable, str(scripts / f"{stage}.py"), *map(str, told)]
        for stage, told in words.items()
    }


def main() -> None:
    """Print the figures and write them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, help="folder for some 10 MB an image")
    parser.add_argument("--numbers", type=int, nargs="+", default=[8, 64, 512])
    args = parser.parse_args()
    work = args.work.resolve()
    if not (work / "patch.json").exists():
        make_images(work, max(args.numbers))
    for command in commands(work, 8).values():
        run(command, work)  # kernels are compiled
    rows = []
    for n in args.numbers:
        for stage, command in commands(work, n).items():
            taken = run(command, work)
            rows.append({"what": stage, "n_images": n, **taken})
            cpu = taken["cpu_s"] / n
            print(f"{n:5} images  {stage:15} {taken['peak_gb']:7.3f} GB {cpu:8.3f} CPU s an image")
    content = {
        "machine": {"cores": os.cpu_count(), "system": platform.platform()},
        "software": f"tessella {tessella.__version__}",
        "rows": rows,
    }
    out = Path(__file__).parent / "results" / "coadd_memory.json"
    out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""What Level 2 to Level 3 costs for one cell, and how well it does, beside its peers.

Eight images of a whole detector (level3_inputs.py) are added on one official cell, as the rules do
it, by the stages match_skies, find_outliers, coadd_patch and cut_cell in processes of their own:

    python benchmarks/bench_level3.py WORK [--pairs 5] [--peer PYTHON] [--swarp SWarp]

It prints CPU and wall seconds, peak memory and accuracy; all of it goes to
benchmarks/results/level3.json. One rank and two take turns, so many times. With a Python that holds
romancal, the same images go through peer_level3.py once (romancal's mosaic pipeline, 230 s, 5 GB;
the drizzle library alone, 40 s), and through SWarp, where that is installed (50 s).
"""

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from astropy.io import fits
from level3_inputs import CONVERSION, ELEMENT, SEED, make_inputs
from level3_quality import (
    between,
    count_outliers,
    isolated_stars,
    load_rays,
    measure_stars,
    noise_of_sums,
    tell_stars,
)

import tessella
from tessella.coadd.accumulate import Box, empty_sums
from tessella.coadd.block_sums import Contribution, add_image, blocks_of
from tessella.coadd.drizzle_kernel import drizzle_alone
from tessella.config import load, section
from tessella.environment import variables
from tessella.io.coadd_inputs import open_input
from tessella.io.level2_pixels import Rows
from tessella.io.level3 import read_mosaic
from tessella.io.solution import read_solution
from tessella.models import Lattice
from tessella.plan.patches import patch_name
from tessella.sky.tessellation import cell_lattice, place_of, regions

ROOT = Path(__file__).parents[1]
CPU_LEVEL = "x86-64-v3"
FIGURES = ("cpu_s", "wall_s", "peak_gb")
STAGES = ("match_skies", "find_outliers", "coadd_patch", "cut_cell")
#: Those that MPI shares out.
SHARED_OUT = ("find_outliers", "coadd_patch")
SWARP = {
    "IMAGEOUT_NAME": "swarp.fits",
    "WEIGHTOUT_NAME": "swarp.weight.fits",
    "WEIGHT_TYPE": "MAP_WEIGHT",
    "WEIGHT_SUFFIX": ".masked.fits",
    "COMBINE_TYPE": "WEIGHTED",
    "RESAMPLING_TYPE": "LANCZOS3",
    "SUBTRACT_BACK": "N",
    "NTHREADS": "1",
    "FSCALASTRO_TYPE": "NONE",
    "MEM_MAX": "2048",
    "COMBINE_BUFSIZE": "2048",
    "VERBOSE_TYPE": "QUIET",
    "WRITE_XML": "N",
}


class Bench:
    """The files of a bench, and the commands of the stages on them."""

    def __init__(self, work: Path) -> None:
        self.work = work
        self.lattice = Lattice(**json.loads((work / "cell.json").read_text()))
        self.images = sorted((work / "run" / "level2").glob("*_cal.asdf"))
        self.wcs = [path.with_name(path.name.replace("_cal", "_wcs")) for path in self.images]
        self.patch = patch_name("full", self.lattice)
        default = ROOT / "config" / "default.yaml"
        given = {"source": "level2", "level2_folder": str(work / "run" / "level2")}
        self.options = load(yaml.safe_load(default.read_text()) | given, [default])
        self.level3 = work / "run" / "level3"

    def path(self, name: str) -> Path:
        """Return the path of a product of Level 3."""
        element = ELEMENT.lower()
        region = f"region{self.lattice.region:04d}"
        stem = f"r00001_p_full_{self.lattice.skycell}_{element}"
        return (
            self.level3
            / {
                "astrometry": f"{region}_astrometry.ecsv",
                "inputs": f"{region}_{element}_inputs.h5",
                "solution": f"{self.patch}_{element}_solution.h5",
                "sums": f"{self.patch}_{element}_sums.h5",
                "mosaic": f"{stem}_coadd.asdf",
                "preview": f"{stem}_preview.png",
                "thumbnail": f"{stem}_thumb.png",
                "maps": f"{stem}_maps.png",
            }[name]
        )

    def start_anew(self) -> None:
        """Remove what stages have made: sums that are there would only be brought up to date."""
        for folder in (self.level3, self.work / "run" / "seals" / "level3"):
            for path in folder.iterdir():
                if not path.name.startswith(self.path("astrometry").name):
                    path.unlink()

    def command(self, stage: str, ranks: int) -> list[str]:
        """Return the command of a stage, as its rule has it."""
        script = str(ROOT / "workflow_scripts" / f"{stage}.py")
        images = ["--images", *map(str, self.images)]
        lattice = vars(self.lattice)
        patch = {"grouping": "full", "lattice": lattice, "tiles": [lattice]}
        arguments = {
            "match_skies": [
                *("--options", section(self.options.sky_match)),
                *("--region", str(self.lattice.region), *images, "--wcs", *map(str, self.wcs)),
                *self._paths("astrometry", "inputs"),
            ],
            "find_outliers": [
                *("--options", section(self.options.outliers), "--patch", self.patch),
                *("--lattice", json.dumps(lattice), "--ranks", str(ranks), *images),
                *self._paths("inputs", "solution"),
            ],
            "coadd_patch": [
                *("--options", section(self.options.coadd), "--patch", json.dumps(patch)),
                *("--ranks", str(ranks), *images),
                *self._paths("solution", "sums"),
            ],
            "cut_cell": [
                *("--lattice", json.dumps(lattice), "--program", "1", "--grouping", "full"),
                *images,
                *self._paths("sums", "mosaic", "preview", "thumbnail", "maps"),
            ],
        }[stage]
        is_alone = ranks == 1 or stage not in SHARED_OUT
        mpiexec = [str(Path(sys.executable).with_name("mpiexec")), "-n", str(ranks)]
        return [*([] if is_alone else mpiexec), sys.executable, script, *arguments]

    def _paths(self, *names: str) -> list[str]:
        return [word for name in names for word in (f"--{name}", str(self.path(name)))]


def run(command: Sequence[str], folder: Path, with_level: bool = True) -> dict[str, float]:
    """Run a command in a folder and return what it took."""
    with tempfile.TemporaryDirectory() as place:
        told, log = Path(place) / "told.json", Path(place) / "log"
        took = [sys.executable, str(Path(__file__).with_name("took.py")), str(told), *command]
        level = variables(CPU_LEVEL) if with_level else variables("native")
        with log.open("wb") as file:
            done = subprocess.run(
                took, cwd=folder, stdout=file, stderr=file, env=os.environ | level, check=False
            )
        if done.returncode:
            sys.stderr.write(log.read_text()[-4000:])
            raise SystemExit(f"bench_level3: failed: {' '.join(command[:4])} ...")
        return json.loads(told.read_text())


def run_stages(bench: Bench, ranks: int) -> dict[str, dict[str, float]]:
    """Make everything anew on so many ranks; return what each stage took, and the whole."""
    bench.start_anew()
    taken = {stage: run(bench.command(stage, ranks), bench.work) for stage in STAGES}
    taken["whole"] = {
        "cpu_s": sum(one["cpu_s"] for one in taken.values()),
        "wall_s": sum(one["wall_s"] for one in taken.values()),
        "peak_gb": max(one["peak_gb"] for one in taken.values()),
    }
    return taken


def medians(runs: Sequence[Mapping[str, Mapping[str, float]]]) -> dict[str, dict[str, float]]:
    """Return the medians of what stages took."""
    return {
        stage: {name: float(np.median([one[stage][name] for one in runs])) for name in FIGURES}
        for stage in runs[0]
    }


def speed_up(pairs: Sequence[Sequence[Mapping]], stage: str) -> dict[str, float]:
    """Return the medians of how much faster two ranks are, and how much more CPU they take."""
    return {
        "faster": float(
            np.median([one[stage]["wall_s"] / two[stage]["wall_s"] for one, two in pairs])
        ),
        "cpu_growth": float(
            np.median([two[stage]["cpu_s"] / one[stage]["cpu_s"] - 1 for one, two in pairs])
        ),
    }


def run_swarp(bench: Bench, program: str) -> dict[str, Any]:
    """Add the images with SWarp, our outliers left out; return what it took."""
    folder = bench.work / "fits"
    names = [f"d{k}" for k in range(len(bench.images))]
    for name, item in zip(names, read_solution(bench.path("solution")).inputs, strict=True):
        weight = fits.getdata(folder / f"{name}.weight.fits")
        weight.ravel()[item.outliers] = 0
        fits.writeto(folder / f"{name}.masked.fits", weight, overwrite=True)
    shutil.copy(folder / "coadd.head", folder / "swarp.head")
    options = [word for key, value in SWARP.items() for word in (f"-{key}", value)]
    taken = run([program, *(f"{name}.fits" for name in names), *options], folder)
    version = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stdout
    return {"software": version.split(" (")[0].strip(), **taken}


def run_peer(bench: Bench, python: str, mode: str) -> dict[str, Any]:
    """Let peer_level3.py work in a process of its own; return what it took, step by step."""
    told = bench.work / f"{mode}.json"
    script = Path(__file__).with_name("peer_level3.py")
    run([python, str(script), mode, str(bench.work), str(told)], bench.work, False)
    return {} if mode == "convert" else json.loads(told.read_text())


def drizzle_in_memory(bench: Bench) -> dict[str, float]:
    """Return what pixel maps and adding take alone, in a process of its own."""
    told = bench.work / "drizzle_told.json"
    run([sys.executable, __file__, "--probe", str(bench.work), str(told)], bench.work)
    return json.loads(told.read_text())


def probe(work: str, told: str) -> None:
    """Be the process: place and add images that are in memory, and tell what it took.

    Beside science and weight this makes variances, exposure time, context and noise correlation:
    one kernel adds them all.
    """
    bench = Bench(Path(work))
    region = cell_lattice(regions()[bench.lattice.region], 0, 0)
    x0, y0 = place_of(bench.lattice)
    cell = Box(x0, y0, bench.lattice.nx, bench.lattice.ny)
    options, inputs = bench.options.coadd, read_solution(bench.path("solution")).inputs
    sources = [
        open_input(image, wcs, item.correction)
        for image, wcs, item in zip(bench.images, bench.wcs, inputs, strict=True)
    ]
    held = [source.rows(0, source.shape[0]) for source in sources]

    def rows_of(number: int, first: int, stop: int) -> Rows:
        return Rows(*(values[first:stop] for values in vars(held[number]).values()))

    def add(n_inputs: int, within: Box) -> None:
        items = [
            Contribution(
                item.name, source.places_on(region), item.weight, item.exposure_time, item.level,
                item.slope_x, item.slope_y, item.outliers, slot,
            )
            for slot, (source, item) in enumerate(zip(sources[:n_inputs], inputs, strict=False))
        ]  # fmt: skip
        cells = np.array([[cell.x0, cell.y0, cell.nx, cell.ny]])
        side = options.block_pixels
        for block in blocks_of(within, 0, within.ny, side, side):
            sums, terms = empty_sums(block, len(items)), np.zeros((*block.shape, 4), np.float32)
            for slot, item in enumerate(items):
                add_image(sums, terms, item, partial(rows_of, slot), options.pixfrac, cells)

    add(1, Box(x0, y0, 100, 100))  # kernels are compiled
    cpu, wall = time.process_time(), time.perf_counter()
    add(len(sources), cell)
    content = {
        "cpu_s": time.process_time() - cpu,
        "wall_s": time.perf_counter() - wall,
        "peak_gb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }
    Path(told).write_text(json.dumps(content))


def coadd_light(bench: Bench) -> np.ndarray:
    """Return the coadd of the light without noise, with the weights of the solution."""
    region = cell_lattice(regions()[bench.lattice.region], 0, 0)
    x0, y0 = place_of(bench.lattice)
    box = (x0, x0 + bench.lattice.nx, y0, y0 + bench.lattice.ny)
    flux, weight = np.zeros((2, *bench.lattice.shape))
    inputs = read_solution(bench.path("solution")).inputs
    for number, (image, wcs, item) in enumerate(zip(bench.images, bench.wcs, inputs, strict=True)):
        source = open_input(image, wcs, item.correction)
        weights = np.where(source.rows(0, item.shape[0]).good, item.weight, 0.0)
        weights.ravel()[item.outliers] = 0
        light = np.load(bench.work / f"light{number}.npy") * item.conversion
        corners = source.places_on(region).corners(0, item.shape[0])
        mean, own = drizzle_alone(light, weights, corners, box)
        flux += np.where(own > 0, mean * own, 0.0)
        weight += own
    with np.errstate(invalid="ignore"):
        return flux / weight


def quality(bench: Bench, peers: Mapping[str, Any]) -> dict[str, Any]:
    """Hold our coadd, and those of peers, against the truth and each other."""
    mosaic = read_mosaic(bench.path("mosaic"))
    truth, work = np.load(bench.work / "truth.npz"), bench.work
    stars = isolated_stars(truth, bench.lattice)
    images = {"tessella": mosaic.data}
    if "SWarp" in peers:
        images["SWarp"] = fits.getdata(work / "fits" / "swarp.fits") * CONVERSION
    if "romancal" in peers:
        images["romancal"] = np.load(work / "peer" / "romancal.npy")
    measured = {name: measure_stars(image, stars, bench.lattice) for name, image in images.items()}
    ours = measured["tessella"]
    marked = {"tessella": [item.outliers for item in read_solution(bench.path("solution")).inputs]}
    if "romancal" in peers:
        found = [np.load(work / "peer" / f"outliers{k}.npy") for k in range(len(bench.images))]
        marked["romancal"] = found
    rays = load_rays(work, len(bench.images))
    good, on = zip(
        *(look_at(bench, *pair) for pair in zip(bench.images, bench.wcs, strict=True)), strict=True
    )
    residual = mosaic.data - coadd_light(bench)
    return {
        "stars": {name: tell_stars(found) for name, found in measured.items()},
        "flux of tessella over that of": {
            name: between(ours, found) for name, found in measured.items() if name != "tessella"
        },
        "outliers": {name: count_outliers(found, rays, good, on) for name, found in marked.items()},
        "noise over prediction": noise_of_sums(residual, mosaic.err, mosaic.noise_correlation),
    }


def look_at(bench: Bench, image: Path, wcs: Path) -> tuple[np.ndarray, np.ndarray]:
    """Tell which pixels of an image are good, and which have their centre on the cell."""
    source = open_input(image, wcs)
    ny = source.shape[0]
    x, y = np.moveaxis(source.places_on(bench.lattice).centers(0, ny), -1, 0)
    on = (x > -0.5) & (x < bench.lattice.nx - 0.5) & (y > -0.5) & (y < bench.lattice.ny - 0.5)
    return source.rows(0, ny).good, on


def read_amplification() -> dict[str, dict[str, float]]:
    """Return how often rows are read by jobs of 8 x 8 cells, and by the blocks of such a job."""
    path = Path(__file__).parent / "results" / "tessellation.json"
    rows = json.loads(path.read_text())["reading"]
    told = {"jobs": "rows_read_by_jobs", "blocks": "rows_read_by_blocks"}
    return {
        one["what"]: {name: one[key] for name, key in told.items()}
        for one in rows
        if "rows_read_by_blocks" in one
    }


def ratios(content: Mapping[str, Any]) -> dict[str, float]:
    """Return what peers take over what we do."""
    whole, alone = content["1 rank"]["whole"], content["pixel maps + drizzle"]
    told = {}
    for name, taken in content["peers"].items():
        if name == "romancal":
            told |= {f"romancal, whole, {key}": taken[key] / whole[key] for key in FIGURES}
        else:
            steps = taken.get("steps", {})
            cpu = sum(steps[key]["cpu_s"] for key in ("pixel maps", "drizzle")) if steps else 0
            told[f"{name}, pixel maps + drizzle, cpu_s"] = (cpu or taken["cpu_s"]) / alone["cpu_s"]
            told[f"{name}, peak_gb"] = taken["peak_gb"] / whole["peak_gb"]
    return told


def tell(content: Mapping[str, Any]) -> None:
    """Print a table of what was measured."""
    print(f"{'':28}{'CPU [s]':>10}{'wall [s]':>10}{'peak [GB]':>10}")
    rows = {
        f"{stage}, {ranks}": taken
        for ranks in ("1 rank", "2 ranks")
        for stage, taken in content[ranks].items()
    }
    rows["pixel maps + drizzle"] = content["pixel maps + drizzle"]
    rows |= content["peers"]
    for name, taken in rows.items():
        print(f"{name:28}" + "".join(f"{taken[figure]:10.2f}" for figure in FIGURES))
    for name in ("2 ranks against 1", "stars", "flux of tessella over that of", "outliers",
                 "noise over prediction", "read amplification", "ratios"):  # fmt: skip
        print(name)
        for key, value in content[name].items():
            told = value if isinstance(value, Mapping) else {"": value}
            print(f"  {key:24}" + "  ".join(f"{k} {v:.5g}" for k, v in told.items()))


def main() -> None:
    """Print the figures and write them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("work", type=Path, help="folder for 4 GB of files")
    parser.add_argument("--pairs", type=int, default=5, help="runs on 1 and 2 ranks in turns")
    parser.add_argument("--peer", help="Python that holds romancal 1.1, to compare with it")
    parser.add_argument("--swarp", default=shutil.which("SWarp"), help="program to compare with")
    args = parser.parse_args()
    work = args.work.resolve()
    if not (work / "ready").exists():
        make_inputs(work, SEED)
        (work / "ready").touch()
    bench = Bench(work)
    run_stages(bench, 2)  # kernels are compiled, and files in memory
    pairs = [[run_stages(bench, ranks) for ranks in (1, 2)] for _ in range(args.pairs)]
    content: dict[str, Any] = {
        "machine": {"cores": os.cpu_count(), "system": platform.platform()},
        "software": f"tessella {tessella.__version__}",
        "1 rank": medians([one for one, _ in pairs]),
        "2 ranks": medians([two for _, two in pairs]),
        "2 ranks against 1": {stage: speed_up(pairs, stage) for stage in (*SHARED_OUT, "whole")},
        "pixel maps + drizzle": drizzle_in_memory(bench),
        "read amplification": read_amplification(),
        "peers": {},
    }
    peers = content["peers"]
    if args.swarp:
        peers["SWarp"] = run_swarp(bench, args.swarp)
    if args.peer:
        run_peer(bench, args.peer, "convert")
        for mode in ("drizzle", "romancal"):
            peers[mode] = run_peer(bench, args.peer, mode)
    content |= quality(bench, peers)
    content["ratios"] = ratios(content)
    tell(content)
    out = Path(__file__).parent / "results" / "level3.json"
    out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--probe"]:
        probe(*sys.argv[2:])
    else:
        main()

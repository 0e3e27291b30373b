"""What Level 1 to Level 2 costs on a whole detector, and how well it does.

Takes a ramp of 4096 x 4096 pixels with its truth, as arrays in a folder (whole_detector.py; l1_16
is left out where it is not), makes a run of it with official files and
references, and calibrates it in processes of their own:

    python benchmarks/bench_level2.py RAMPS --work scratch [--repeat 3] [--threads 2]
        [--peer PYTHON]

It prints CPU and wall seconds, peak memory and accuracy, and what each step took; all of it goes to
benchmarks/results/level2.json, with what the machine can copy in memory as the floor. With a Python
that holds romancal, the same ramp of 8 resultants goes through peer_level2.py once (200 s, 6 GB).
"""

import argparse
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import asdf
import numpy as np
from whole_detector import FRAME_TIME, READS

import tessella
from tessella import flags
from tessella.astrometry.wcs import attitude_of
from tessella.environment import variables
from tessella.instrument.read_patterns import ReadPattern
from tessella.io.level2 import read_image
from tessella.models import DETECTOR_SIZE, ExposureHeader, ExposureKey, Ramp, Window

DETECTOR, ELEMENT, SIZE = "WFI02", "F158", DETECTOR_SIZE
KEY = ExposureKey(1, 1, 1, 1, 1, 1, 1)
POINTING = (270.0, 66.0, 0.0)
RAMP, IMAGE = (
    f"{KEY.name}_{DETECTOR.lower()}_{ELEMENT.lower()}_{x}.asdf" for x in ("uncal", "cal")
)
ABOUT = ("2026-01-01T00:00:00", "benchmark", {})
CPU_LEVEL = "x86-64-v3"
FIGURES = ("cpu_s", "wall_s", "peak_gb")
PEER_IMAGE = "peer_cal.asdf"
#: Most numbers of a detector that must move once: ramp, references, image [bytes a pixel].
MOVED = {"ramp": 2, "references": 64, "image": 36}
OPTIONS = {
    "skip": [],
    "saturation": {"grow_pixels": 0},
    "slopes": {"rejection_threshold": 4.5, "expand_large_events": True},
    "persistence": None,
    "minimum_detectors": 1,
}


def make_inputs(ramps: Path, folder: Path, name: str) -> None:
    """Write the ramp and its references as products of a run."""
    from tessella.io.level1 import write_ramp
    from tessella.io.runs import start_run

    start_run(folder)
    data = np.load(ramps / f"{name}.npy")
    pattern = ReadPattern(4, "benchmark", READS[name], FRAME_TIME)
    amp33 = np.full((len(data), SIZE, 128), 5000, np.uint16)
    amp33 += np.random.default_rng(3).integers(0, 20, amp33.shape, np.uint16)
    ramp = Ramp(
        detector=DETECTOR,
        optical_element=ELEMENT,
        window=Window(),
        data=data,
        resultant_dq=np.zeros(data.shape, np.uint8),
        amp33=amp33,
        read_pattern=pattern.reads,
        frame_time=pattern.frame_time,
        attitude=attitude_of(DETECTOR, *POINTING),
    )
    start = "2028-07-01T00:00:00"
    header = ExposureHeader(KEY, ELEMENT, 4, start, "WFI_IMAGE", *POINTING, *POINTING)
    write_ramp(folder / RAMP, ramp, header, pattern, {})
    gain, noise, dark, flat = (np.load(ramps / f"{n}.npy") for n in ("gain", "rn", "dark", "flat"))
    maps = reference_maps(gain, noise, dark, flat, 60000.0)
    converter = 1e-3 * np.sin(np.arange(65536.0) / 97) * np.ones((32, 1))
    write_references(folder, DETECTOR, maps, converter, decay_dn=0.1)


def reference_maps(
    gain: np.ndarray, noise: np.ndarray, dark: np.ndarray, flat: np.ndarray, saturation_dn: float
) -> dict[str, dict[str, np.ndarray]]:
    """Return the arrays of the references of a linear detector without bad pixels.

    Gain [electrons / DN], noise of a read [DN], dark current [electrons / s], response; all whole.
    """
    none = np.zeros((SIZE, SIZE), np.uint32)
    straight = np.zeros((5, SIZE, SIZE), np.float32)
    straight[1] = 1
    return {
        "mask": {"dq": none},
        "saturation": {"data": np.full((SIZE, SIZE), saturation_dn, np.float32), "dq": none},
        "linearity": {"coeffs": straight, "dq": none},
        "gain": {"data": gain},
        "readnoise": {"data": noise},
        "dark": {
            "dark_slope": (dark / gain).astype(np.float32),
            "dark_slope_error": np.full((SIZE, SIZE), 1e-4, np.float32),
            "dq": none,
        },
        "flat": {
            "data": flat[4:-4, 4:-4],
            "err": np.full((SIZE - 8, SIZE - 8), 1e-3, np.float32),
            "dq": none[4:-4, 4:-4],
        },
    }


def write_references(
    folder: Path, detector: str, maps: dict, converter: np.ndarray, decay_dn: float
) -> None:
    """Write all references of a detector for images in F158, and the selection of them."""
    from tessella.io import references as files

    about = files.ReferenceHeader(detector, *ABOUT)
    for name, arrays in maps.items():
        element = ELEMENT if name == "flat" else None
        path = folder / f"{name}.asdf"
        files.write_maps(path, name, arrays, Window(), about, optical_element=element)
    row = {"photmjsr": 0.6, "uncertainty": 0.01, "pixelareasr": 2.84e-13}
    files.write_photometry(folder / "photom.asdf", {ELEMENT: row}, about)
    files.write_converter(folder / "inl.asdf", np.arange(65536.0), converter, about)
    decay = {f"WFI{k:02d}": {"amplitude": decay_dn, "time_constant": 20.0} for k in range(1, 19)}
    files.write_dark_decay(folder / "decay.asdf", decay, about)
    chosen = {name: f"{name}.asdf" for name in (*maps, "photom")}
    chosen |= {"integralnonlinearity": "inl.asdf", "darkdecaysignal": "decay.asdf"}
    files.write_selection(folder / "selection.json", chosen, {})


def calibrate(folder: Path, n_threads: int, with_steps: bool) -> dict[str, float]:
    """Calibrate in a process of its own and return what it took."""
    told = folder / "told.json"
    probe = [sys.executable, __file__, "--probe", str(folder), str(n_threads), str(told)]
    start = time.perf_counter()
    subprocess.run(
        [*probe, str(int(with_steps))], check=True, env=os.environ | variables(CPU_LEVEL)
    )
    return {"wall_s": time.perf_counter() - start, **json.loads(told.read_text())}


def side_by_side(folder: Path) -> float:
    """Return the wall seconds that two detectors take at once, each in a process with one thread.

    They share nothing: no number of threads can be faster on this machine than they are.
    """
    twin = folder.with_name(f"{folder.name}_twin")
    shutil.rmtree(twin, ignore_errors=True)
    shutil.copytree(folder, twin, copy_function=os.link, ignore=shutil.ignore_patterns("*_cal.*"))
    start = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda place: calibrate(place, 1, False), (folder, twin)))
    return time.perf_counter() - start


def probe(folder: str, n_threads: str, told: str, with_steps: str) -> None:
    """Be the process, and tell what it took."""
    from tessella import recipe
    from tessella.run import calibrate as stage

    spent: Counter[str] = Counter()

    def timed(name, function):
        def wrapper(*args, **kwargs):
            start = time.thread_time()
            try:
                return function(*args, **kwargs)
            finally:
                spent[name] += time.thread_time() - start

        return wrapper

    if int(with_steps):
        stage.LEVEL2_STEPS = tuple(
            replace(
                step,
                function=timed(step.name, step.function),
                measure=step.measure and timed(f"{step.name}, measuring", step.measure),
                look_again=step.look_again and timed(f"{step.name}, again", step.look_again),
            )
            for step in recipe.LEVEL2_STEPS
        )
        for name in ("read_ramp", "read_references", "write_image"):
            setattr(stage, name, timed(name, getattr(stage, name)))
    place = Path(folder)
    ramp = next(place.glob("*_uncal.asdf"))
    image = place / ramp.name.replace("_uncal", "_cal")
    paths = ramp, place / "selection.json", image
    stage.calibrate_detector(*paths, Window(), OPTIONS, int(n_threads))
    used = resource.getrusage(resource.RUSAGE_SELF)
    # The peak that `used` has may be that of the process which started this one.
    lines = Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**20
    content = {"cpu_s": used.ru_utime + used.ru_stime, "peak_gb": peak}
    Path(told).write_text(json.dumps(content | {"steps": dict(spent)}))


def accuracy(ramps: Path, data: np.ndarray, dq: np.ndarray) -> dict[str, float]:
    """Hold the slopes [DN / s] of an image and its flags against the truth of the ramp."""
    active = np.s_[4:-4, 4:-4]
    gain, rate, hit = (np.load(ramps / f"{n}.npy")[active] for n in ("gain", "rate", "crtruth"))
    slope = data * gain
    found = (dq & flags.JUMP_DET) != 0
    good = (dq & (flags.DO_NOT_USE | flags.SATURATED)) == 0
    sky = good & ~found & (hit == 0) & (rate < 0.52)
    return {
        "sky_bias_e_per_s": float(np.mean(slope[sky] - rate[sky])),
        "sky_rms_e_per_s": float(np.std(slope[sky] - rate[sky])),
        "jump_recall": float(found[hit > 0].mean()),
        "false_jumps": float(found[(hit == 0) & good].mean()),
    }


def run_peer(python: str, folder: Path) -> dict:
    """Calibrate with romancal in a process of its own and return what it took."""
    told, script = folder / "peer_told.json", Path(__file__).with_name("peer_level2.py")
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    subprocess.run([python, script, folder, told], check=True, env=os.environ | limits)
    return json.loads(told.read_text())


def against_peer(ramps: Path, folder: Path) -> dict[str, dict[str, float]]:
    """Hold the image against romancal's, and both against the truth.

    Differences of slopes are in units of our errors, where neither flags a jump or saturation.
    """
    image, _ = read_image(folder / IMAGE)
    with asdf.open(folder / PEER_IMAGE, memmap=False) as file:
        data, dq = (np.asarray(file["roman"][name]) for name in ("data", "dq"))
    jumps = [(flagged & flags.JUMP_DET) != 0 for flagged in (image.dq, dq)]
    plain = ((image.dq | dq) & (flags.DO_NOT_USE | flags.SATURATED | flags.JUMP_DET)) == 0
    difference = np.abs(image.data - data)[plain] / image.err[plain]
    return {
        "tessella": accuracy(ramps, image.data, image.dq),
        "romancal": accuracy(ramps, data, dq),
        "between them": {
            "median_difference_in_errors": float(np.median(difference)),
            "difference_in_errors_99_percent": float(np.quantile(difference, 0.99)),
            "compared_pixels": float(plain.mean()),
            "same_jump_flag": float((jumps[0] == jumps[1]).mean()),
        },
    }


def tell_peer(ours: dict[str, float], peer: dict) -> None:
    """Print what both took, and how well they do."""
    print(f"{'':24}{'tessella':>12}{'romancal':>12}{'ratio':>12}")
    for name in FIGURES:
        print(f"{name:24}{ours[name]:12.2f}{peer[name]:12.2f}{peer['ratios'][name]:12.2f}")
    for name, value in peer["accuracy"]["tessella"].items():
        print(f"{name:24}{value:12.5f}{peer['accuracy']['romancal'][name]:12.5f}")
    for name, value in peer["accuracy"]["between them"].items():
        print(f"{name:36}{value:12.6f}")


def copy_bandwidth() -> float:
    """Return how fast this machine copies in memory [GB / s]."""
    source, target = np.ones(2**27, np.uint8), np.empty(2**27, np.uint8)
    times = []
    for _ in range(5):
        start = time.perf_counter()
        np.copyto(target, source)
        times.append(time.perf_counter() - start)
    return 2 * source.size / min(times) / 1e9


def main() -> None:
    """Print the figures and write them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("ramps", type=Path, help="folder of the ramp and its truth")
    parser.add_argument("--work", type=Path, required=True, help="folder for 2 GB of files")
    parser.add_argument("--repeat", type=int, default=3, help="runs of which medians are taken")
    parser.add_argument("--threads", type=int, default=2, help="compared with one thread")
    parser.add_argument("--peer", help="Python that holds romancal 1.1, to compare with it")
    args = parser.parse_args()
    if not (args.ramps / "l1.npy").exists():
        parser.error(f"{args.ramps}: no l1.npy; make a ramp with benchmarks/whole_detector.py")
    content: dict = {
        "machine": {"cores": os.cpu_count(), "system": platform.platform()},
        "software": f"tessella {tessella.__version__}",
    }
    for name in READS:
        n_resultants = len(READS[name])
        if not (args.ramps / f"{name}.npy").exists():
            continue
        folder = args.work.resolve() / str(n_resultants)
        if not (folder / "selection.json").exists():
            make_inputs(args.ramps, folder, name)
        calibrate(folder, 1, False)  # kernels are compiled, and files in memory
        pairs = [
            [calibrate(folder, n, False) for n in (1, args.threads)] for _ in range(args.repeat)
        ]
        alone, together = (
            {key: float(np.median([pair[k][key] for pair in pairs])) for key in FIGURES}
            for k in (0, 1)
        )
        at_once = float(np.median([side_by_side(folder) for _ in range(args.repeat)]))
        steps = calibrate(folder, 1, True)["steps"]
        moved = SIZE**2 * (MOVED["ramp"] * n_resultants + MOVED["references"] + MOVED["image"])
        content[f"{n_resultants} resultants"] = {
            "one thread": alone,
            f"{args.threads} threads": together,
            "faster": {
                f"{args.threads} threads": alone["wall_s"] / together["wall_s"],
                "two detectors at once": 2 * alone["wall_s"] / at_once,
            },
            "steps_cpu_s": {name: round(seconds, 2) for name, seconds in steps.items()},
            "gigabytes_moved": moved / 1e9,
            "floor_s": moved / 1e9 / copy_bandwidth() * 2,
        }
        if n_resultants == 8:
            image, _ = read_image(folder / IMAGE)
            content["accuracy"] = accuracy(args.ramps, image.data, image.dq)
        if n_resultants == 8 and args.peer:
            peer = run_peer(args.peer, folder)
            peer["ratios"] = {name: peer[name] / alone[name] for name in FIGURES}
            peer["accuracy"] = against_peer(args.ramps, folder)
            content["peer"] = peer
            tell_peer(alone, peer)
    text = json.dumps(content, indent=1)
    sys.stdout.write(text + "\n")
    (Path(__file__).parent / "results" / "level2.json").write_text(text + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--probe"]:
        probe(*sys.argv[2:])
    else:
        main()

"""Our image of a detector beside romancal's, from a Level 1 file that romanisim wrote.

Both calibrate the file of a whole detector with the same references, which say what romanisim
assumed (gain 2, read noise 5 DN, dark current 0.01 electrons / s, linear up to 55,000 DN):

    python benchmarks/compare_romanisim.py LEVEL1_FILE --peer PYTHON --work scratch

It prints how far slopes are apart in units of our errors, away from pixels that either flags, and
lists by cause the pixels in which the two differ; all of it goes to
benchmarks/results/romanisim.json. PYTHON holds romancal 1.1; that takes 200 s and 5 GB.
"""

import argparse
import json
import shutil
import sys
from pathlib import Path

import asdf
import numpy as np
from bench_level2 import (
    FIGURES,
    PEER_IMAGE,
    SIZE,
    calibrate,
    reference_maps,
    run_peer,
    write_references,
)

from tessella import flags
from tessella.io.level2 import read_image
from tessella.models import Image

GAIN, READ_NOISE_DN, DARK_ELECTRONS, SATURATION_DN = 2.0, 5.0, 0.01, 55000.0
#: A pixel counts as different beyond this many errors.
DIFFERENT = 0.3


def make_images(level1: Path, folder: Path, peer: str) -> tuple[Image, dict]:
    """Calibrate by both; return our image, theirs is in the folder, and what both took."""
    folder.mkdir(parents=True, exist_ok=True)
    ramp = folder / level1.name
    shutil.copyfile(level1, ramp)
    with asdf.open(level1) as file:
        detector = str(file["roman"]["meta"]["instrument"]["detector"])
    whole = np.ones((SIZE, SIZE), np.float32)
    maps = reference_maps(
        GAIN * whole, READ_NOISE_DN * whole, DARK_ELECTRONS * whole, whole, SATURATION_DN
    )
    write_references(folder, detector, maps, np.zeros((32, 65536)), decay_dn=0.0)
    calibrate(folder, 1, False)  # kernels are compiled, and files in memory
    taken = {"tessella": calibrate(folder, 1, False), "romancal": run_peer(peer, folder)}
    image, _ = read_image(folder / level1.name.replace("_uncal", "_cal"))
    return image, {name: {key: one[key] for key in FIGURES} for name, one in taken.items()}


def compare(image: Image, data: np.ndarray, dq: np.ndarray) -> dict:
    """Compare two images: slopes where neither flags a pixel, and the rest by cause."""
    bad = flags.DO_NOT_USE | flags.SATURATED | flags.JUMP_DET
    plain = ((image.dq | dq) & bad) == 0
    difference = np.abs(image.data - data) / image.err
    jumps = [(flagged & flags.JUMP_DET) != 0 for flagged in (image.dq, dq)]
    usable = [((flagged & flags.DO_NOT_USE) == 0) for flagged in (image.dq, dq)]
    partly = image.saturated_from < image.saturated_from.max()
    large = usable[0] & usable[1] & (difference > DIFFERENT)
    causes = {
        "jump found by one only": jumps[0] != jumps[1],
        "jump found by both, other differences left out": jumps[0] & jumps[1],
        "saturates on the way": partly,
        "neither": np.ones_like(partly),
    }
    counted = {}
    for name, is_cause in causes.items():
        counted[name] = int((large & is_cause).sum())
        large = large & ~is_cause
    return {
        "compared_pixels": float(plain.mean()),
        "median_difference_in_errors": float(np.median(difference[plain])),
        "difference_in_errors_99_percent": float(np.quantile(difference[plain], 0.99)),
        "median_signed_difference_dn_per_s": float(np.median((image.data - data)[plain])),
        "with_jumps": float(jumps[0].mean()),
        "same_jump_flag": float((jumps[0] == jumps[1]).mean()),
        "saturated_on_the_way": int((partly & usable[0]).sum()),
        "usable_for_us_alone": int((usable[0] & ~usable[1]).sum()),
        "usable_for_romancal_alone": int((~usable[0] & usable[1]).sum()),
        f"pixels beyond {DIFFERENT} errors, by cause": counted,
    }


def main() -> None:
    """Print the figures and write them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("level1", type=Path, help="..._uncal.asdf of 4096 x 4096 pixels in F158")
    parser.add_argument("--peer", required=True, help="Python that holds romancal 1.1")
    parser.add_argument("--work", type=Path, required=True, help="folder for 2 GB of files")
    args = parser.parse_args()
    image, taken = make_images(args.level1, args.work.resolve(), args.peer)
    with asdf.open(args.work / PEER_IMAGE, memmap=False) as file:
        data, dq = (np.asarray(file["roman"][name]) for name in ("data", "dq"))
    content = {"file": args.level1.name, "taken": taken, **compare(image, data, dq)}
    text = json.dumps(content, indent=1)
    sys.stdout.write(text + "\n")
    (Path(__file__).parent / "results" / "romanisim.json").write_text(text + "\n")


if __name__ == "__main__":
    main()

"""Our sky positions beside romanisim's, for the same pointings and distortion.

    python benchmarks/compare_positions.py --peer PYTHON --work scratch

Pixels of all 18 detectors under pointings from the equator to the pole, with and without velocity
aberration: how far apart both put them on the sky, and how far the pixel that our simulator draws a
source on is from the one whose sky position romanisim told. PYTHON holds romanisim 0.14; it takes
a minute. Prints the figures and writes benchmarks/results/positions.json.
"""

import argparse
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import asdf
import numpy as np

from tessella.astrometry.gwcs_model import distortion_model
from tessella.astrometry.wcs import attitude_of, detector_to_sky, sky_to_detector
from tessella.instrument.siaf import DETECTORS
from tessella.models import Attitude
from tessella.quality.matching import offsets_mas

#: Centre of the instrument and position angle of its ideal y axis [deg].
POINTINGS = (
    (12.108, 85.255, 0.0),
    (0.001, -0.01, 47.0),
    (266.4, -29.0, 210.0),
    (80.0, -69.5, 333.0),
)
#: Scale by velocity aberration in one more, about each detector's own reference point.
ABERRATION = 1.00007
AXIS = np.linspace(0, 4087, 15)
#: Milliarcseconds in a pixel, about.
PIXEL_MAS = 108.0


def attitudes(number: int) -> dict[str, Attitude]:
    """Return the attitude of each detector under a pointing."""
    return {detector: attitude_of(detector, *POINTINGS[number]) for detector in DETECTORS}


def aberrated() -> dict[str, Attitude]:
    """Return those of the first pointing with velocity aberration."""
    plain = attitudes(0)
    return {name: replace(attitude, aberration=ABERRATION) for name, attitude in plain.items()}


def write_inputs(folder: Path) -> None:
    """Write our distortions and the pointings where the peer reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    for detector in DETECTORS:
        # The peer's asdf is older.
        tree = asdf.AsdfFile({"distortion": distortion_model(detector)}, version="1.5.0")
        tree.write_to(folder / f"{detector}_distortion.asdf")
    told = {
        "detectors": list(DETECTORS),
        "pointings": POINTINGS,
        "aberrated": {name: vars(attitude) for name, attitude in aberrated().items()},
        "axis": AXIS.tolist(),
    }
    (folder / "pointings.json").write_text(json.dumps(told))


def apart(attitude: Attitude, detector: str, sky: np.ndarray) -> tuple[float, float]:
    """Return how far sky positions, and the pixels of sources there, are apart at most [mas]."""
    x, y = (values.ravel() for values in np.meshgrid(AXIS, AXIS))
    on_sky = offsets_mas(*detector_to_sky(attitude, detector, x, y), *sky)
    drawn = np.array(sky_to_detector(attitude, detector, *sky)) - (x, y)
    return np.hypot(*on_sky.T).max(), PIXEL_MAS * np.hypot(*drawn).max()


def differences(folder: Path) -> dict:
    """Return the largest distances [mas]."""
    x, y = (values.ravel() for values in np.meshgrid(AXIS, AXIS))
    plain, turned, inverse = [], [], []
    with np.load(folder / "positions.npz") as peer:
        software = str(peer["software"])
        for number in range(len(POINTINGS)):
            for detector, attitude in attitudes(number).items():
                plain.append(apart(attitude, detector, peer[f"{detector} {number} sky"]))
                theirs = peer[f"{detector} {number} pixel"] - (x, y)
                inverse.append(PIXEL_MAS * np.hypot(*theirs).max())
        for detector, attitude in aberrated().items():
            turned.append(apart(attitude, detector, peer[f"{detector} aberrated sky"]))
    return {
        "peer": software,
        "positions": len(plain) * len(x),
        "sky positions of pixels apart, mas": max(on_sky for on_sky, _ in plain),
        "sources drawn apart, mas": max(drawn for _, drawn in plain),
        "the same with velocity aberration, mas": max(map(max, turned)),
        "error of romanisim's own inverse, mas": max(inverse),
    }


def main() -> None:
    """Print the figures and write them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer", required=True, help="Python that holds romanisim 0.14")
    parser.add_argument("--work", type=Path, required=True, help="folder for a few MB of files")
    args = parser.parse_args()
    if not Path(args.peer).exists():
        sys.exit(f"ERROR: {args.peer}: no such Python; --peer names one that holds romanisim 0.14")
    write_inputs(args.work)
    peer = Path(__file__).parent / "peer_positions.py"
    subprocess.run([args.peer, str(peer), str(args.work)], check=True)
    text = json.dumps(differences(args.work), indent=1)
    sys.stdout.write(text + "\n")
    (Path(__file__).parent / "results" / "positions.json").write_text(text + "\n")


if __name__ == "__main__":
    main()

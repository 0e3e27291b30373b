"""romancal's steps on a Level 1 file of our simulator, beside ours, against the light that fell.

    python benchmarks/compare_simulated.py --peer PYTHON --work scratch

A whole detector in F158 with 2000 stars and the sky, exposed by `tessella.simulate` (the numbers
of romanisim's detector: gain 2, 10 electrons a read, linear), written as official Level 1 and
calibrated by both; romancal takes it through all its steps from dq_init to flat_field. Prints how
far slopes are from the truth in units of their errors, and writes
benchmarks/results/simulated.json. PYTHON holds romancal 1.1; some six minutes, 6 GB.
"""

import argparse
import json
import sys
from pathlib import Path

import asdf
import numpy as np
from bench_level2 import PEER_IMAGE, calibrate, reference_maps, run_peer, write_references

from tessella import flags
from tessella.astrometry.motion import StarCatalogue
from tessella.config import load_state
from tessella.detector.state import Blur, draw_maps
from tessella.instrument.read_patterns import read_patterns
from tessella.io.level1 import write_ramp
from tessella.io.level2 import read_image
from tessella.io.runs import start_run
from tessella.models import Attitude, ExposureHeader, ExposureKey, Ramp, Window
from tessella.simulate.exposure import expose
from tessella.simulate.image import rate_image, sky_rate
from tessella.simulate.observation import pixels_per_arcsec, sources_on
from tessella.simulate.pointing import planned_header, true_attitude
from tessella.simulate.scene import Field, draw_scene

ROOT = Path(__file__).parents[1]
DETECTOR, ELEMENT, TABLE, SEED = "WFI02", "F158", 4, 7
KEY = ExposureKey(1, 1, 1, 1, 1, 1, 1)
STATE = load_state(ROOT / "config/detectors", "romanisim")


def draw_light() -> tuple[np.ndarray, ExposureHeader, Attitude]:
    """Return the light on the detector, (4088, 4088) [electrons / s], header and attitude."""
    header = planned_header(KEY, ELEMENT, TABLE, "2028-07-01T00:00:00", 12.108, 85.255, 0.0)
    attitude = true_attitude(DETECTOR, header, 0.0, 0.0, SEED)
    field = Field(attitude.ra_ref, attitude.dec_ref, 200.0, 45.0, 0.0, 61953.0, 61953.0)
    none = np.zeros(0)
    empty = StarCatalogue(2015.5, none, none, none, none, none, np.zeros((0, 5, 5)))
    truth = draw_scene(field, empty, none, none, SEED)
    sources = sources_on(truth, attitude, DETECTOR, Window(), ELEMENT, False)
    jacobian = pixels_per_arcsec(attitude, DETECTOR, Window())
    light = rate_image(sources, jacobian, Window(), DETECTOR, ELEMENT, Blur(0.0, 0.0))
    return np.maximum(light + sky_rate(ELEMENT, 1.5), 0.0), header, attitude


def make_inputs(folder: Path) -> np.ndarray:
    """Write the ramp and its references; return the light."""
    light, header, attitude = draw_light()
    maps, pattern = draw_maps(STATE, DETECTOR, Window()), read_patterns()[TABLE]
    readout = expose(light, maps, STATE, pattern, DETECTOR, KEY, SEED, 4000)
    ramp = Ramp(
        detector=DETECTOR,
        optical_element=ELEMENT,
        window=Window(),
        data=readout.data,
        resultant_dq=np.zeros(readout.data.shape, np.uint8),
        amp33=readout.amp33,
        read_pattern=pattern.reads,
        frame_time=pattern.frame_time,
        attitude=attitude,
        encoding_offset=readout.encoding_offset,
        reference_read=readout.reference_read,
        reference_amp33=readout.reference_amp33,
    )
    start_run(folder)
    name = f"{KEY.name}_{DETECTOR.lower()}_{ELEMENT.lower()}_uncal.asdf"
    write_ramp(folder / name, ramp, header, pattern, {})
    whole = np.ones(Window().shape, np.float32)
    gain, dark = STATE.gain_electrons_per_dn, STATE.dark_electrons_per_s
    measured = (gain * whole, STATE.read_noise_electrons / gain * whole, dark * whole, whole)
    references = reference_maps(*measured, STATE.saturation_dn)
    write_references(folder, DETECTOR, references, np.zeros((32, 65536)), decay_dn=0.0)
    np.save(folder / "light.npy", light)
    return light


def against_light(light: np.ndarray, data: np.ndarray, err: np.ndarray, dq: np.ndarray) -> dict:
    """Hold slopes [DN / s] against the light, where nothing is flagged."""
    good = (dq & (flags.DO_NOT_USE | flags.SATURATED | flags.JUMP_DET)) == 0
    error = (data * STATE.gain_electrons_per_dn - light)[good]
    pull = error / (err[good] * STATE.gain_electrons_per_dn)
    sky = light[good] < 1.05 * light.min()
    low, high = np.quantile(pull, [0.1587, 0.8413])
    return {
        "unflagged": float(good.mean()),
        "sky_bias_e_per_s": float(error[sky].mean()),
        "median_pull": float(np.median(pull)),
        "spread_of_pulls": float((high - low) / 2),
        "with_jumps": float(((dq & flags.JUMP_DET) != 0).mean()),
    }


def main() -> None:
    """Print the figures and write them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--peer", required=True, help="Python that holds romancal 1.1")
    parser.add_argument("--work", type=Path, required=True, help="folder for 2 GB of files")
    args = parser.parse_args()
    if not Path(args.peer).exists():
        sys.exit(f"ERROR: {args.peer}: no such Python; --peer names one that holds romancal 1.1")
    folder = args.work.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    # A folder that holds them is used again.
    made = folder / "light.npy"
    light = np.load(made) if made.exists() else make_inputs(folder)
    calibrate(folder, 1, False)
    image, _ = read_image(next(folder.glob("r*_cal.asdf")))
    peer = run_peer(args.peer, folder)
    with asdf.open(folder / PEER_IMAGE, memmap=False) as file:
        data, err, dq = (np.asarray(file["roman"][name]) for name in ("data", "err", "dq"))
    content = {
        "peer": peer["software"],
        "steps of romancal that are complete": [
            name for name in peer["steps"] if name not in ("import", "open", "save")
        ],
        "tessella": against_light(light, image.data, image.err, image.dq),
        "romancal": against_light(light, data, err, dq),
    }
    text = json.dumps(content, indent=1)
    sys.stdout.write(text + "\n")
    (Path(__file__).parent / "results" / "simulated.json").write_text(text + "\n")


if __name__ == "__main__":
    main()

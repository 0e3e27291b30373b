"""What romancal takes from Level 1 to Level 2, on the inputs of bench_level2.py.

Runs with a Python that holds romancal 1.1 (which pins asdf < 6), not with the project's:

    PYTHON benchmarks/peer_level2.py FOLDER OUT.json

It takes the ramp of the folder (*_uncal.asdf) and the references beside it through romancal's
steps, one by one, without a calibration server, and writes peer_cal.asdf there. The schemas of
romancal 1.1 are older than ours (RAD 1.1 and 1.2) and it cannot open our ramp, so arrays and
metadata go into a file of its own beforehand. That, and making references that we need not have,
is no part of what is told.
"""

import importlib
import json
import os
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

# A port that nothing listens at: reference files are given, and nothing may ask for others.
os.environ["CRDS_SERVER_URL"] = "http://127.0.0.1:9"
warnings.simplefilter("ignore")

import asdf  # noqa: E402
import numpy as np  # noqa: E402
from astropy.modeling.models import Scale, Shift  # noqa: E402
from roman_datamodels import datamodels  # noqa: E402

SIZE = 4096
#: Frequencies of the reference-pixel correction: lines are 128 columns and 12 of overhead.
FREQUENCIES = SIZE * (128 + 12) // 2 + 1
#: Official name, module and class of each step, and the references it takes: type and file.
STEPS = (
    ("dq_init", "dq_init", "DQInitStep", {"mask": "mask"}),
    ("saturation", "saturation", "SaturationStep", {"saturation": "saturation"}),
    ("refpix", "refpix", "RefPixStep", {"refpix": "peer/refpix"}),
    ("dark_decay", "dark_decay", "DarkDecayStep", {"darkdecaysignal": "decay"}),
    (
        "linearity",
        "linearity",
        "LinearityStep",
        {
            "linearity": "linearity",
            "inverselinearity": "peer/inverselinearity",
            "integralnonlinearity": "inl",
        },
    ),
    ("ramp_fit", "ramp_fitting", "RampFitStep", {"readnoise": "readnoise", "gain": "gain"}),
    ("dark", "dark_current", "DarkCurrentStep", {"dark": "dark"}),
    ("assign_wcs", "assign_wcs", "AssignWcsStep", {"distortion": "peer/distortion"}),
    ("photom", "photom", "PhotomStep", {"photom": "photom"}),
    ("flat_field", "flatfield", "FlatFieldStep", {"flat": "flat"}),
)


class Meter:
    """CPU seconds, and those of them in the kernel, wall seconds and peak memory, by name."""

    def __init__(self) -> None:
        self.taken: dict[str, dict[str, float]] = {}

    def __call__(self, name: str, function: Callable[[], Any]) -> Any:
        """Call `function` and keep what it took."""
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts anew
        cpu, system, wall = cpu_seconds(), os.times().system, time.perf_counter()
        value = function()
        self.taken[name] = {
            "cpu_s": cpu_seconds() - cpu,
            "system_s": os.times().system - system,
            "wall_s": time.perf_counter() - wall,
            "peak_gb": peak_gigabytes(),
        }
        return value


def cpu_seconds() -> float:
    """Return the CPU seconds of this process until now."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def peak_gigabytes() -> float:
    """Return the peak of resident memory since it was last reset [GiB]."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) / 2**20


def carry(target: Any, source: Mapping[str, Any]) -> None:
    """Set the metadata that both know; a group of values is carried value by value."""
    for key in set(target) & set(source):
        value = source[key]
        if isinstance(value, Mapping):
            carry(target[key], value)
        else:
            target[key] = list(map(list, value)) if key == "read_pattern" else value


def convert_ramp(source: Path, target: Path) -> Mapping[str, Any]:
    """Write our Level 1 file in the schemas at hand; return its metadata."""
    model = datamodels.ScienceRawModel.create_fake_data()
    with asdf.open(source, memmap=False) as file:
        roman = file["roman"]
        carry(model.meta, roman["meta"])
        for name in {"data", "amp33", "resultantdq"} & set(roman):
            model[name] = np.asarray(roman[name])
        model.save(target)
        return roman["meta"]


def make_references(folder: Path, meta: Mapping[str, Any]) -> None:
    """Write the references that we have no use for, without effect; the distortion is a scale."""
    written = {
        "refpix": datamodels.RefpixRefModel.create_fake_data(),
        "inverselinearity": datamodels.InverselinearityRefModel.create_fake_data(),
        "distortion": datamodels.DistortionRefModel.create_fake_data(),
    }
    for name in ("gamma", "zeta", "alpha"):
        written["refpix"][name] = np.full((32, FREQUENCIES), 1e-9, np.complex128)
    coefficients = np.zeros((5, SIZE, SIZE), np.float32)
    coefficients[1] = 1
    written["inverselinearity"]["coeffs"] = coefficients
    written["inverselinearity"]["dq"] = np.zeros((SIZE, SIZE), np.uint32)
    middle = Shift(4.5 - SIZE / 2) & Shift(4.5 - SIZE / 2)
    centre = Shift(meta["wcsinfo"]["v2_ref"]) & Shift(meta["wcsinfo"]["v3_ref"])
    transform = middle | Scale(0.11) & Scale(0.11) | centre
    written["distortion"]["coordinate_distortion_transform"] = transform
    for name, model in written.items():
        model.meta.instrument.detector = meta["instrument"]["detector"]
        model.save(folder / f"{name}.asdf")


def without_server() -> None:
    """Let steps end without a calibration server, which each asks for the context it used."""
    from stpipe import crds_client

    crds_client.get_context_used = lambda observatory: "none"
    crds_client.get_svn_version = lambda: "none"


def calibrate(folder: Path, peer: Path, meter: Meter) -> None:
    """Run the steps, and save what comes out."""

    def opened() -> Any:
        model = datamodels.open(peer / "ramp.asdf", memmap=False)
        model.data.sum()  # read, not only opened
        return model

    def load() -> list[Any]:
        without_server()
        return [
            getattr(importlib.import_module(f"romancal.{module}"), name)
            for _, module, name, _ in STEPS
        ]

    classes = meter("import", load)
    model = meter("open", opened)
    for step_class, (name, _, _, types) in zip(classes, STEPS, strict=True):
        step = step_class()
        step.save_results = False
        for reference, file in types.items():
            place = peer / file.removeprefix("peer/") if "/" in file else folder / file
            setattr(step, f"override_{reference}", f"{place}.asdf")
        model = meter(name, lambda step=step, model=model: step.run(model))
        if model.meta.cal_step[name] != "COMPLETE":
            raise RuntimeError(f"romancal: {name} is {model.meta.cal_step[name]}, not COMPLETE")
    meter("save", lambda: model.save(folder / "peer_cal.asdf"))


def main() -> None:
    """Write what each step took, and the whole."""
    folder, told = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    start = cpu_seconds()
    meter = Meter()
    with tempfile.TemporaryDirectory(dir=folder) as name:
        peer = Path(name)
        os.environ["CRDS_PATH"] = name
        make_references(peer, convert_ramp(min(folder.glob("*_uncal.asdf")), peer / "ramp.asdf"))
        prepared, wall = cpu_seconds(), time.perf_counter()
        calibrate(folder, peer, meter)
        content = {
            "software": f"romancal {version('romancal')}, stcal {version('stcal')}",
            # What was loaded at the start belongs to it as well.
            "cpu_s": start + cpu_seconds() - prepared,
            "wall_s": start + time.perf_counter() - wall,
            "peak_gb": max(taken["peak_gb"] for taken in meter.taken.values()),
            "steps": meter.taken,
        }
    told.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()

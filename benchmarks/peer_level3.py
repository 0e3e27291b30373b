"""What peers take from Level 2 to Level 3, on the inputs of level3_inputs.py.

Runs with a Python that holds romancal 1.1 (which pins asdf < 6), not with the project's:

    PYTHON benchmarks/peer_level3.py convert|romancal|drizzle WORK OUT.json

`convert` writes the images of WORK/run/level2 in the schemas of romancal 1.1, which are older than
ours; that is no part of what is told. `romancal` takes them through the steps of the mosaic
pipeline, in its order and with its defaults, onto the cell. `drizzle` makes the pixel maps of stcal
and adds science and weight with the drizzle library, as romancal's resampling does, and nothing
else. Coadds and outliers are left in WORK/peer for bench_level3.py to look at.
"""

import importlib
import json
import os
import sys
import tempfile
import time
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from peer_level2 import Meter, carry, cpu_seconds, without_server

warnings.simplefilter("ignore")

import asdf  # noqa: E402
from roman_datamodels import datamodels, dqflags  # noqa: E402

ARRAYS = ("data", "dq", "err", "var_poisson", "var_rnoise", "var_flat")
STEPS = (
    ("flux", "flux", "FluxStep"),
    ("skymatch", "skymatch", "SkyMatchStep"),
    ("outlier_detection", "outlier_detection", "OutlierDetectionStep"),
    ("resample", "resample", "ResampleStep"),
)


def convert(source: Path, target: Path) -> None:
    """Write one of our Level 2 files in the schemas at hand."""
    with asdf.open(source, memmap=False) as file:
        roman = file["roman"]
        arrays = {name: np.asarray(roman[name]) for name in ARRAYS}
        model = datamodels.ImageModel.create_fake_data(shape=arrays["data"].shape)
        carry(model.meta, roman["meta"])
        for name, values in arrays.items():
            model[name] = values
        model.meta["wcs"] = roman["meta"]["wcs"]
        model.meta["photometry"] = dict(roman["meta"]["photometry"])
        later = {step for step, _, _ in STEPS}
        model.meta["cal_step"] = {
            step: "INCOMPLETE" if step in later else "COMPLETE"
            for step in roman["meta"]["cal_step"]
        }
        model.meta.filename = target.name
        model.save(target)


def opened(work: Path) -> list[Any]:
    """Open and read all images."""
    models = [
        datamodels.open(path, memmap=False) for path in sorted((work / "peer").glob("*_cal.asdf"))
    ]
    for model in models:
        for name in ARRAYS:
            model[name].sum()  # read, not only opened
    return models


def run_romancal(work: Path, meter: Meter) -> None:
    """Run the steps of the mosaic pipeline, and save what comes out."""

    def load() -> dict[str, Any]:
        without_server()
        return {
            step: getattr(importlib.import_module(f"romancal.{module}"), name)
            for step, module, name in STEPS
        }

    classes = meter("import", load)
    from romancal.datamodels.library import ModelLibrary

    value = meter("open", lambda: ModelLibrary(opened(work)))
    for name, step_class in classes.items():
        step = step_class()
        step.save_results = False
        if name == "resample":
            keep_outliers(work, value)
            step.output_wcs = str(work / "cell_wcs.asdf")
            step.resample_on_skycell = False
        value = meter(name, lambda step=step, value=value: step.run(value))
    np.save(work / "peer" / "romancal.npy", np.asarray(value.data))
    # romancal 1.1 makes four numbers of it, which its own schema does not allow.
    matrix = np.reshape(value.meta.wcsinfo.rotation_matrix, (2, 2))
    value.meta.wcsinfo.rotation_matrix = matrix.tolist()
    meter("save", lambda: value.save(work / "peer" / "coadd.asdf"))


def keep_outliers(work: Path, library: Any) -> None:
    """Write the indices of the pixels of each image that are flagged."""
    with library:
        for number, model in enumerate(library):
            marked = (np.asarray(model.dq) & int(dqflags.pixel.OUTLIER)) != 0
            np.save(work / "peer" / f"outliers{number}.npy", np.flatnonzero(marked))
            library.shelve(model, number, modify=False)


def run_drizzle(work: Path, meter: Meter) -> None:
    """Make pixel maps and add science and weight."""
    from drizzle.resample import Drizzle
    from stcal.resample.utils import calc_pixmap

    models = meter("open", lambda: opened(work))
    with asdf.open(work / "cell_wcs.asdf") as file:
        cell = file["wcs"]
        shape = json.loads((work / "cell.json").read_text())
        shape = shape["ny"], shape["nx"]
        maps = meter(
            "pixel maps",
            lambda: [
                calc_pixmap(
                    model.meta.wcs, cell, model.data.shape, stepsize=10, order=3,
                    disable_bbox="both",
                )
                for model in models
            ],
        )  # fmt: skip
    weights = [
        np.where(np.asarray(model.dq) & 1, 0, 1 / np.asarray(model.var_rnoise, np.float32))
        for model in models
    ]

    def add() -> Drizzle:
        sums = Drizzle(kernel="square", out_shape=shape, fillval="NAN")
        for model, places, weight in zip(models, maps, weights, strict=True):
            sums.add_image(
                np.asarray(model.data), exptime=140.0, pixmap=places,
                weight_map=weight.astype(np.float32), pixfrac=1.0, in_units="cps",
            )  # fmt: skip
        return sums

    np.save(work / "peer" / "drizzle.npy", meter("drizzle", add).out_img)


def main() -> None:
    """Write what each step took, and the whole process."""
    mode, work, told = sys.argv[1], Path(sys.argv[2]).resolve(), Path(sys.argv[3])
    (work / "peer").mkdir(exist_ok=True)
    if mode == "convert":
        for path in sorted((work / "run" / "level2").glob("*_cal.asdf")):
            convert(path, work / "peer" / path.name)
        return
    meter, wall = Meter(), time.perf_counter()
    with tempfile.TemporaryDirectory(dir=work) as name:
        os.environ["CRDS_PATH"] = name
        {"romancal": run_romancal, "drizzle": run_drizzle}[mode](work, meter)
    packages = ("romancal", "stcal") if mode == "romancal" else ("drizzle", "stcal")
    content = {
        "software": ", ".join(f"{package} {version(package)}" for package in packages),
        "cpu_s": cpu_seconds(),
        "wall_s": time.perf_counter() - wall,
        "peak_gb": max(taken["peak_gb"] for taken in meter.taken.values()),
        "steps": meter.taken,
    }
    told.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()

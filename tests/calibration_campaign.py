"""Darks and flats of a small detector as Level 1 files, with references to begin with."""

import json
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import finished_run
import numpy as np

from tessella.config import load_state
from tessella.detector.state import DetectorState, draw_maps
from tessella.instrument.read_patterns import read_patterns
from tessella.io.level1 import write_ramp
from tessella.io.references import (
    ReferenceHeader,
    write_converter,
    write_dark_decay,
    write_maps,
    write_photometry,
)
from tessella.io.seals import sha256
from tessella.models import ExposureKey, Window
from tessella.references.make import (
    dark_decay_rows,
    measure_converter,
    measure_maps,
    photometry_row,
)
from tessella.simulate.observation import Conditions, expose_evenly
from tessella.simulate.pointing import planned_header
from tessella.telemetry.assemble import assemble_ramp
from tessella.telemetry.assembly import Received

#: A campaign on a small window: folder of its results below the working directory.
RUN = Path("results") / "campaign"
WINDOW = Window(1792, 1792, 256, 128)
STATE = load_state(finished_run.ROOT / "config/detectors", "simulated")
DETECTOR, ELEMENT = "WFI01", "F158"
START = "2028-07-01T00:00:00"
CONDITIONS = Conditions(
    zodiacal_factor=1.5,
    pointing_error_arcsec=0.0,
    roll_error_arcsec=0.0,
    encoding_offset=4000,
    cosmic_rays=True,
    seed=3,
    stray_light=0.0,
)


def write_references(folder: Path, state: DetectorState, window: Window) -> Path:
    """Write what the calibration of darks and flats needs; return the selection."""
    header = ReferenceHeader(DETECTOR, "2026-01-01T00:00:00", "test", {})
    folder.mkdir(parents=True, exist_ok=True)
    arrays = measure_maps(state, draw_maps(state, DETECTOR, window), DETECTOR)
    for name, values in arrays.items():
        write_maps(folder / f"{name}.asdf", name, values, window, header)
    rows = {ELEMENT: photometry_row(state, DETECTOR, ELEMENT)}
    write_photometry(folder / "photom.asdf", rows, header)
    write_dark_decay(folder / "darkdecaysignal.asdf", dark_decay_rows(state), header)
    names = [*arrays, "photom", "darkdecaysignal"]
    if state.integral_nonlinearity_dn:
        table = measure_converter(state, DETECTOR)
        path = folder / "integralnonlinearity.asdf"
        write_converter(path, table["value"], table["correction"], header)
        names.append("integralnonlinearity")
    files = {name: folder / f"{name}.asdf" for name in names}
    content = {name: {"path": str(path), "sha256": sha256(path)} for name, path in files.items()}
    (folder / "selection.json").write_text(json.dumps({"files": content}))
    return folder / "selection.json"


def write_exposure(
    folder: Path,
    number: int,
    kind: str,
    state: DetectorState,
    window: Window,
    lamp_rate: float = 0.0,
    table: int = 3,
    element: str = ELEMENT,
    called: str | None = None,
) -> Path:
    """Write the Level 1 file of one exposure, of the type that it is called, else its own."""
    start = datetime.fromisoformat(START) + timedelta(seconds=300 * number)
    key = ExposureKey(9, 1, 1, 1, 1, 1, number + 1)
    header = planned_header(key, element, table, start.isoformat(), 12.1, 85.25, 0.0, kind)
    readout = expose_evenly(header, lamp_rate, DETECTOR, window, state, CONDITIONS)
    header = replace(header, exposure_type=called or kind)
    planes = (readout.data, readout.amp33, readout.reference_read, readout.reference_amp33)
    received = Received(*(np.ones(plane.shape, bool) for plane in planes))
    ramp = assemble_ramp(header, readout, received)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{key.name}_{DETECTOR.lower()}_{element.lower()}_uncal.asdf"
    write_ramp(path, ramp, header, read_patterns()[table], {})
    return path


def run_on_files(folder: Path, name: str, **more: object) -> Path:
    """Run the workflow on the Level 1 files of `<name>_files`; return the folder of results."""
    overlay = folder / f"{name}.yaml"
    about = {"run": name, "source": "level1", "level1_folder": f"{name}_files"}
    overlay.write_text(json.dumps({**about, "window": vars(WINDOW), **more}))
    finished_run.make_run(folder, config=overlay)
    return folder / "results" / name


def make_run(folder: Path) -> None:
    """Measure references from two darks and two flats, beside a spectrum of the sky."""
    files, about = folder / f"{RUN.name}_files", (STATE, WINDOW)
    for number in (0, 1):
        write_exposure(files, number, "WFI_IM_DARK", *about, element="DARK")
        write_exposure(files, 2 + number, "WFI_FLAT", *about, 500.0)
    write_exposure(files, 4, "WFI_SPECTRAL", *about, table=1034, element="GRISM")
    # A cut has a table of exclusions written: an empty one, no image of the sky is there.
    cuts = [{"column": "PA", "minimum": None, "maximum": 360.0, "groupings": ["full"]}]
    run_on_files(folder, RUN.name, calibration={"measure": True}, groupings={"cuts": cuts})


def arguments(folder: Path) -> list[str]:
    """Arguments of Snakemake for this run in its working directory."""
    return finished_run.arguments(config=folder / f"{RUN.name}.yaml")

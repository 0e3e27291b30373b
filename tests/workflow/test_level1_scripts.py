"""The scripts from telemetry to Level 1, on an exposure of three detectors."""

import json
import subprocess
import sys
from dataclasses import replace

import asdf
import numpy as np
import pytest
from sent_packets import is_record_of

from tessella.flags import DO_NOT_USE, DROPOUT
from tessella.models import ExposureHeader, ExposureKey, GuideWindow, Readout, Window
from tessella.telemetry.encode import packetize

from .conftest import ROOT

KEY = ExposureKey(1, 1, 1, 1, 1, 1, 1)
HEADER_OF_EXPOSURE = ExposureHeader(
    *(KEY, "F106", 3, "2028-07-01T00:00:00.000", "WFI_IMAGE", 12.1, 85.2, 0.0, 12.1, 85.2, 0.0)
)
WINDOW = Window(1792, 1792, 128, 128)


def readout(number: int) -> Readout:
    """A detector whose pixels all hold its number and the encoding offset."""
    planes = [np.full(shape, 4000 + number, np.uint16) for shape in 2 * [(5, 128, 128)]]
    planes += [np.full((128, 128), 5000 + number, np.uint16) for _ in range(2)]
    return Readout(f"WFI{number:02d}", WINDOW, *planes, 4000)


def run(script, *words):
    command = [sys.executable, str(ROOT / f"workflow_scripts/{script}.py"), *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.fixture
def make_level1(tmp_path):
    """Decode packets and assemble the ramps of some detectors; return their trees by detector."""

    def make(packets, detectors):
        (tmp_path / "sent.l0").write_bytes(b"".join(packets))
        (tmp_path / "list.txt").write_text(f"{tmp_path}/sent.l0\n")
        options = {"detectors": detectors, "window": vars(WINDOW), "complete_fraction": 0.99}
        readouts, ledger = tmp_path / "readouts.h5", tmp_path / f"{KEY.name}_ledger.parquet"
        ramps = {name: tmp_path / f"{name}_uncal.asdf" for name in detectors}
        run(
            "decode_telemetry",
            *("--options", json.dumps(options), "--exposure", KEY.name),
            *("--telemetry", f"@{tmp_path}/list.txt"),
            *("--holdings", json.dumps(f"{tmp_path}/holdings")),
            *("--readouts", readouts, "--ledger", ledger),
        )
        own = ("--options", json.dumps(options), "--readouts", readouts)
        run("assemble_ramp", *own, "--ramps", *ramps.values())
        found = {}
        for name, path in ramps.items():
            with asdf.open(path, memmap=False, lazy_load=False) as file:
                found[name] = file.tree["roman"]
        return found, ledger

    return make


def test_each_file_holds_the_detector_it_is_named_after_in_any_order_of_a_subset(make_level1):
    from tessella.io.ledgers import read_ledger

    packets = packetize(HEADER_OF_EXPOSURE, [readout(n) for n in (1, 2, 3)], codec="none")
    found, ledger = make_level1(packets, ["WFI03", "WFI01"])
    for number, name in ((3, "WFI03"), (1, "WFI01")):
        assert found[name]["meta"]["instrument"]["detector"] == name
        assert (np.asarray(found[name]["data"]) == 4000 + number).all()
        assert found[name]["meta"]["exposure"]["data_problem"] is None
    counts = read_ledger(ledger).counts
    assert counts.rejected == {"of a detector that is not asked for": 2 * 6 * 16}
    assert counts.missing_rows == 0


def test_exposure_that_ended_early_is_made_lost_detectors_as_long_as_the_others(make_level1):
    sent = [readout(n) for n in (1, 2)]
    short = [replace(one, data=one.data[:3], amp33=one.amp33[:3]) for one in sent]
    packets = packetize(HEADER_OF_EXPOSURE, short, codec="none")
    found, _ = make_level1([p for p in packets if not is_record_of(p, 2)], ["WFI01", "WFI02"])
    for one in found.values():
        about = one["meta"]["exposure"]
        assert (about["truncated"], about["nresultants"]) == (True, 3)
        assert one["data"].shape[0] == len(about["read_pattern"]) == 3
    assert (np.asarray(found["WFI01"]["data"]) == 4001).all()


def test_guide_window_becomes_a_file_and_its_place_is_told_in_level_1(make_level1, tmp_path):
    from tessella.io.level1 import read_ramp

    cycles = np.random.default_rng(2).integers(0, 9000, (4, 8, 16), dtype=np.uint16)
    guided = replace(readout(2), guide=GuideWindow(1800, 1810, cycles))
    found, _ = make_level1(packetize(HEADER_OF_EXPOSURE, [readout(1), guided]), ["WFI01", "WFI02"])
    path = tmp_path / "gw.asdf"
    run(
        "write_guide_window",
        *("--readouts", tmp_path / "readouts.h5", "--detector", "WFI02", "--guide-window", path),
    )
    with asdf.open(path) as file:
        track = file["roman"]["track_data"]
        assert np.array_equal(track["pedestal_resultants"], cycles[::2])
        assert np.array_equal(track["signal_resultants"], cycles[1::2])
    star = found["WFI02"]["meta"]["guide_star"]
    corners = [star[f"window_{name}"] for name in ("xstart", "ystart", "xstop", "ystop")]
    assert corners == [1800, 1810, 1816, 1818]
    # From there the calibration knows which pixels are read with it.
    ramp, _ = read_ramp(tmp_path / "WFI02_uncal.asdf", WINDOW)
    assert ramp.guide_window == (8, 24, 18, 26)
    assert read_ramp(tmp_path / "WFI01_uncal.asdf", WINDOW)[0].guide_window is None


def test_detector_without_housekeeping_is_flagged_and_named_and_shifts_no_other(make_level1):
    packets = packetize(HEADER_OF_EXPOSURE, [readout(n) for n in (1, 2, 3)], codec="none")
    kept = [packet for packet in packets if not is_record_of(packet, 2)]
    found, _ = make_level1(kept, ["WFI01", "WFI02", "WFI03"])
    for number in (1, 3):
        assert (np.asarray(found[f"WFI{number:02d}"]["data"]) == 4000 + number).all()
    lost = found["WFI02"]
    assert (np.asarray(lost["resultantdq"]) == DROPOUT | DO_NOT_USE).all()
    for one in found.values():
        problem = one["meta"]["exposure"]["data_problem"]
        assert "WFI02: no sound housekeeping was received" in problem
        assert "66.67 % of" in problem

"""Exposures of telemetry as the plan takes them, of little packets in a folder."""

import os
import time

import numpy as np
import pytest

from tessella.errors import DataError
from tessella.models import ExposureHeader, ExposureKey, Readout, Window
from tessella.plan.build import load_plan
from tessella.plan.inbox import SEEN, look
from tessella.telemetry.encode import packetize
from tessella.telemetry.packets import HEADER, HOUSEKEEPING, unpack_primary

from .test_build import ROOT, config

KEYS = [ExposureKey(1, 1, 1, 1, 1, 1, n) for n in (1, 2)]


def packets_of(key: ExposureKey, *detectors: str) -> list[bytes]:
    pixels = np.zeros((5, 128, 128), np.uint16)
    planes = (pixels, pixels, pixels[0], pixels[0])
    header = ExposureHeader(
        *(key, "F106", 3, f"2028-07-01T00:0{key.exposure}:00.000", "WFI_IMAGE"),
        *(12.108, 85.255, 0.0, 12.108, 85.255, 0.0),
    )
    window = Window(1792, 1792, 128, 128)
    return packetize(header, [Readout(name, window, *planes, 4000) for name in detectors])


def is_record_of(packet: bytes, sca: int) -> bool:
    if unpack_primary(packet).apid != HOUSEKEEPING:
        return False
    return int(np.frombuffer(packet, HEADER, 1)["sca"][0]) == sca


@pytest.fixture
def inbox(tmp_path):
    folder = tmp_path / "inbox"
    folder.mkdir()
    return folder


def plan_of(tmp_path, inbox, *detectors, **changes):
    changes = {"run": "given", "tile": {"cutout_pixels": None}} | changes
    own = {"source": "telemetry", "telemetry_folder": str(inbox), "detectors": list(detectors)}
    return load_plan(config(tmp_path, **own, **changes), ROOT)


def test_looks_of_others_do_not_change_what_a_run_saw(tmp_path, inbox, monkeypatch):
    """Jobs of a run parse the workflow while someone looks what a run would do now."""
    (inbox / "a.l0").write_bytes(b"".join(packets_of(KEYS[0], "WFI01")))
    saw = plan_of(tmp_path, inbox, "WFI01")
    mine = os.environ[SEEN]
    (inbox / "b.l0").write_bytes(b"".join(packets_of(KEYS[1], "WFI01")))
    assert len(plan_of(tmp_path, inbox, "WFI01").exposures) == 2
    monkeypatch.setenv(SEEN, mine)
    own = {"source": "telemetry", "telemetry_folder": str(inbox), "detectors": ["WFI01"]}
    cfg = config(tmp_path, **own, run="given", tile={"cutout_pixels": None})
    assert load_plan(cfg, ROOT, is_start=False) == saw
    monkeypatch.delenv(SEEN)
    with pytest.raises(DataError, match="no list of arrivals"):
        load_plan(cfg, ROOT, is_start=False)


def test_file_that_goes_while_the_folder_is_looked_at_is_named(tmp_path):
    cfg = config(tmp_path, source="telemetry", telemetry_folder=str(tmp_path))
    with pytest.raises(DataError, match=r"gone\.l0: it went while"):
        look(cfg, [tmp_path / "gone.l0"])


def test_detector_without_housekeeping_holds_its_exposure_for_the_set_time_only(tmp_path, inbox):
    whole = packets_of(KEYS[0], "WFI01", "WFI02")
    part = [p for p in packets_of(KEYS[1], "WFI01", "WFI02") if not is_record_of(p, 2)]
    (inbox / "a.l0").write_bytes(b"".join(whole + part))
    plan = plan_of(tmp_path, inbox, "WFI01", "WFI02")
    assert list(plan.exposures) == [KEYS[0].name]
    (held,) = plan.held
    assert held.exposure == KEYS[1].name
    assert "housekeeping of WFI02 has not arrived; held until 24 h" in held.reason
    os.utime(inbox / "a.l0", (time.time() - 86400 * 1.1,) * 2)
    plan = plan_of(tmp_path, inbox, "WFI01", "WFI02")
    assert list(plan.exposures) == [key.name for key in KEYS]
    assert [list(one.detectors) for one in plan.exposures.values()] == 2 * [["WFI01", "WFI02"]]
    assert not plan.held

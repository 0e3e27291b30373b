"""Exposures of telemetry as the plan takes them, of little packets in a folder."""

import json
import os
from dataclasses import replace

import numpy as np
import pytest
from sent_packets import changed, is_idle, is_record_of, payload_of

from tessella.errors import DataError
from tessella.io.level0 import write_level0
from tessella.models import ExposureHeader, ExposureKey, GuideWindow, Readout, Window, unread
from tessella.plan.build import load_plan
from tessella.plan.inbox import SEEN, look
from tessella.run.status import held_back
from tessella.telemetry.encode import packetize
from tessella.telemetry.packets import (
    pack_visit,
)
from tessella.telemetry.records import pack_exposure, unpack_exposure

from .test_build import ROOT, config

KEYS = [ExposureKey(1, 1, 1, 1, 1, 1, n) for n in (1, 2)]


def packets_of(key: ExposureKey, *detectors: str, guide: GuideWindow | None = None) -> list[bytes]:
    pixels = np.zeros((5, 128, 128), np.uint16)
    planes = (pixels, pixels, pixels[0], pixels[0])
    header = ExposureHeader(
        *(key, "F106", 3, f"2028-07-01T00:0{key.exposure}:00.000", "WFI_IMAGE"),
        *(12.108, 85.255, 0.0, 12.108, 85.255, 0.0),
    )
    window = Window(1792, 1792, 128, 128)
    return packetize(header, [Readout(name, window, *planes, 4000, guide) for name in detectors])


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


def later(tmp_path, hours: float) -> None:
    """Let all exposures be known for some hours longer."""
    path = tmp_path / "results/given/plan/known_exposures.json"
    known = json.loads(path.read_text())
    for entry in known.values():
        entry["first_seen"] -= 3600 * hours
    path.write_text(json.dumps(known))


def decoded(tmp_path, key: ExposureKey) -> None:
    """Leave what shows that an exposure was decoded."""
    folder = tmp_path / "results/given/level0"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{key.name}_ledger.parquet").touch()


def reasons(plan) -> dict[str, str]:
    return {one.what: one.reason for one in plan.held}


def test_detector_without_housekeeping_holds_its_exposure_for_the_set_time_only(tmp_path, inbox):
    whole = packets_of(KEYS[0], "WFI01", "WFI02")
    part = [p for p in packets_of(KEYS[1], "WFI01", "WFI02") if not is_record_of(p, 2)]
    (inbox / "a.l0").write_bytes(b"".join(whole + part))
    plan = plan_of(tmp_path, inbox, "WFI01", "WFI02")
    assert list(plan.exposures) == [KEYS[0].name]
    assert list(reasons(plan)) == [KEYS[1].name]
    said = "housekeeping of WFI02 has not arrived; held until 24 h"
    assert said in reasons(plan)[KEYS[1].name]
    later(tmp_path, 23)
    assert len(plan_of(tmp_path, inbox, "WFI01", "WFI02").held) == 1
    later(tmp_path, 1.1)
    plan = plan_of(tmp_path, inbox, "WFI01", "WFI02")
    assert list(plan.exposures) == [key.name for key in KEYS]
    assert [list(one.detectors) for one in plan.exposures.values()] == 2 * [["WFI01", "WFI02"]]
    assert not plan.held


def test_time_that_a_copy_gives_to_a_file_does_not_end_the_waiting(tmp_path, inbox):
    packets = packets_of(KEYS[1], "WFI01")
    (inbox / "a.l0").write_bytes(
        b"".join(packets_of(KEYS[0], "WFI01") + packets[: len(packets) // 2])
    )
    os.utime(inbox / "a.l0", (0, 0))
    for _ in range(2):
        plan = plan_of(tmp_path, inbox, "WFI01")
        assert "% of its pixels are there; held until 24 h" in reasons(plan)[KEYS[1].name]


def test_waiting_begins_where_nothing_can_be_made_yet(tmp_path, inbox):
    packets = packets_of(KEYS[0], "WFI01")
    (inbox / "a.l0").write_bytes(b"".join(packets[: len(packets) // 2]))
    with pytest.raises(DataError, match="held until 24 h"):
        plan_of(tmp_path, inbox, "WFI01")
    later(tmp_path, 24.1)
    assert list(plan_of(tmp_path, inbox, "WFI01").exposures) == [KEYS[0].name]


def test_exposure_whose_record_never_comes_is_named_with_what_is_missing(tmp_path, inbox):
    part = [p for p in packets_of(KEYS[1], "WFI01") if not is_record_of(p, 0)]
    (inbox / "a.l0").write_bytes(b"".join(packets_of(KEYS[0], "WFI01") + part))
    plan = plan_of(tmp_path, inbox, "WFI01")
    assert "has not arrived; held until it does" in reasons(plan)[KEYS[1].name]
    later(tmp_path, 24.1)
    plan = plan_of(tmp_path, inbox, "WFI01")
    assert list(plan.exposures) == [KEYS[0].name]
    said = reasons(plan)[KEYS[1].name]
    assert "its own record (optical element, MA table, pointing) did not arrive within 24 h" in said
    assert "ask for its housekeeping (identifier 0x170, SCA 0) again" in said


@pytest.mark.parametrize("left", [None, 9, 0])
def test_what_was_made_of_a_file_that_is_no_more_stays_and_is_told(tmp_path, inbox, left):
    """The file is archived, cut after some packets, or replaced."""
    for key, file in zip(KEYS, "ab", strict=True):
        (inbox / f"{file}.l0").write_bytes(b"".join(packets_of(key, "WFI01")))
    before = plan_of(tmp_path, inbox, "WFI01")
    for key in KEYS:
        decoded(tmp_path, key)
    if left is None:
        (inbox / "b.l0").unlink()
    else:
        (inbox / "b.l0").write_bytes(b"".join(packets_of(KEYS[1], "WFI01")[:left]) + b"noise")
    plan = plan_of(tmp_path, inbox, "WFI01")
    one, two = (plan.exposures[key.name] for key in KEYS)
    assert one == before.exposures[KEYS[0].name]
    # Of the file as it was nothing else is taken, and its product is not made again.
    (was,) = two.telemetry
    assert was.startswith(f"{inbox}/b.l0 (as it was, ")
    assert replace(two, telemetry=(str(inbox / "b.l0"),)) == before.exposures[KEYS[1].name]
    assert f"stays as it was made: {was} is no more" in reasons(plan)[KEYS[1].name]
    if left is not None:
        return
    # The same packets in a file of another name are as good.
    (inbox / "c.l0").write_bytes(b"".join(packets_of(KEYS[1], "WFI01")))
    plan = plan_of(tmp_path, inbox, "WFI01")
    assert not plan.held
    assert plan.exposures[KEYS[1].name].telemetry == (str(inbox / "c.l0"),)


def test_folder_from_which_all_was_archived_is_no_mistake(tmp_path, inbox):
    with pytest.raises(DataError, match=r"no \*\.l0 file"):
        plan_of(tmp_path, inbox, "WFI01")
    (inbox / "a.l0").write_bytes(b"".join(packets_of(KEYS[0], "WFI01")))
    plan_of(tmp_path, inbox, "WFI01")
    decoded(tmp_path, KEYS[0])
    (inbox / "a.l0").unlink()
    plan = plan_of(tmp_path, inbox, "WFI01")
    assert list(plan.exposures) == list(reasons(plan)) == [KEYS[0].name]


def test_file_that_goes_before_its_exposure_was_decoded_takes_it_along(tmp_path, inbox):
    for key, file in zip(KEYS, "ab", strict=True):
        (inbox / f"{file}.l0").write_bytes(b"".join(packets_of(key, "WFI01")))
    plan_of(tmp_path, inbox, "WFI01")
    (inbox / "b.l0").unlink()
    assert list(plan_of(tmp_path, inbox, "WFI01").exposures) == [KEYS[0].name]


def test_what_was_made_does_not_have_to_be_complete_anew_when_the_bound_is_raised(tmp_path, inbox):
    kept = packets_of(KEYS[0], "WFI01")
    (inbox / "a.l0").write_bytes(b"".join(kept[:-30]))
    low = {"telemetry": {"complete_fraction": 0.5}}
    assert list(plan_of(tmp_path, inbox, "WFI01", **low).exposures) == [KEYS[0].name]
    with pytest.raises(DataError, match="of its pixels are there"):
        plan_of(tmp_path, inbox, "WFI01")
    decoded(tmp_path, KEYS[0])
    assert list(plan_of(tmp_path, inbox, "WFI01").exposures) == [KEYS[0].name]


#: What records may say that cannot be, and what is said of it.
ODD = [
    ({"optical_element": "F999"}, "optical element 'F999' is not for WFI_IMAGE"),
    ({"exposure_type": "WFI_OTHER"}, "exposure type 'WFI_OTHER' is not known"),
    ({"ma_table_number": 77}, "MA table 77 is not known"),
    ({"target_ra": np.nan}, "its ra is nan"),
    ({"pa_aperture": np.inf}, "its pa is inf"),
    ({"start_time": "2028-07-01T00:00:00+00:00"}, "has a time zone"),
    ({"start_time": "2020-07-01T00:00:00.000"}, "2020-07-01T00:00:00"),
    ({"key": replace(KEYS[1], execution_plan=101)}, "plan 101 has no file name"),
    ({"key": replace(KEYS[1], exposure=12345)}, "exposure 12345 has no file name"),
]


def test_odd_exposures_are_held_with_the_reason_and_stop_no_other(tmp_path, inbox):
    keys = [
        changes.get("key", replace(KEYS[1], visit=number))
        for number, (changes, _) in enumerate(ODD, 1)
    ]
    odd = [
        changed_record(packets_of(KEYS[1], "WFI01"), **{**changes, "key": key})
        for key, (changes, _) in zip(keys, ODD, strict=True)
    ]
    (inbox / "a.l0").write_bytes(b"".join([*packets_of(KEYS[0], "WFI01"), *sum(odd, [])]))
    plan = plan_of(tmp_path, inbox, "WFI01")
    assert list(plan.exposures) == [KEYS[0].name]
    assert len(plan.held) == len(ODD)
    told = held_back(tmp_path / "results/given")
    for key, (_, said) in zip(keys, ODD, strict=True):
        assert said in reasons(plan)[key.name]
        assert f"held: {key.name}: {reasons(plan)[key.name]}" in told


def changed_record(packets: list[bytes], key: ExposureKey, **changes) -> list[bytes]:
    """Change what the record of an exposure says."""
    own = {"visit_key": pack_visit(key), "exposure": key.exposure}
    found = []
    for sent in packets:
        payload = None
        if is_record_of(sent, 0):
            header = unpack_exposure(payload_of(sent), key, (0.0, 0.0, 0.0))
            payload = pack_exposure(replace(header, **changes))
        if not is_idle(sent):
            found.append(changed(sent, payload, **own))
    return found


def test_detectors_that_sent_a_guide_window_are_known(tmp_path, inbox):
    sent = packets_of(KEYS[0], "WFI01", guide=unread(1800, 1800, 4, 16, 32))
    # One that is not configured.
    sent += packets_of(KEYS[0], "WFI02", guide=unread(1800, 1800, 4, 16, 32))
    (inbox / "a.l0").write_bytes(b"".join(sent + packets_of(KEYS[1], "WFI01")))
    for _ in range(2):
        plan = plan_of(tmp_path, inbox, "WFI01")
        assert [one.guided for one in plan.exposures.values()] == [("WFI01",), ()]
        # Once more, of what is kept.
        (inbox / "b.l0").write_bytes(b"noise")


def test_file_that_is_not_what_its_sidecar_says_is_held_until_it_is(tmp_path, inbox):
    for key, file in zip(KEYS, "ab", strict=True):
        write_level0(inbox / f"{file}.l0", packets_of(key, "WFI01"), {})
    sent = (inbox / "b.l0").read_bytes()
    (inbox / "b.l0").write_bytes(sent[: len(sent) // 2])
    plan = plan_of(tmp_path, inbox, "WFI01")
    assert list(plan.exposures) == [KEYS[0].name]
    assert "its sidecar says" in reasons(plan)[str(inbox / "b.l0")]
    (inbox / "b.l0").write_bytes(sent)
    plan = plan_of(tmp_path, inbox, "WFI01")
    assert list(plan.exposures) == [key.name for key in KEYS]
    assert not plan.held

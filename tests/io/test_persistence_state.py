"""What exposures left is read back as it was written, or refused with the name of the file."""

from dataclasses import replace

import asdf
import numpy as np
import pytest

from tessella.detector.persistence_state import Illumination, PersistenceState
from tessella.errors import DataError
from tessella.io.persistence_state import read_state, write_state
from tessella.io.runs import start_run
from tessella.io.seals import Broken
from tessella.models import Window

WINDOW = Window(256, 128, 128, 256)
ENTRIES = (
    Illumination(61953.002, np.array([3, 70], np.int32), np.array([50.5, np.nan], np.float16)),
    Illumination(61953.001, np.array([], np.int32), np.array([], np.float16)),
)
STATE = PersistenceState("WFI04", WINDOW, ENTRIES)
MADE_BY = {"stage": "calibrate_exposure", "made_from": []}


@pytest.fixture
def path(tmp_path):
    write_state(tmp_path / "a_persistence.asdf", STATE, MADE_BY)
    return tmp_path / "a_persistence.asdf"


def test_state_comes_back(path):
    found = read_state(path, "WFI04", WINDOW)
    assert (found.detector, found.window, len(found.entries)) == ("WFI04", WINDOW, 2)
    for one, two in zip(found.entries, ENTRIES, strict=True):
        assert one.end_mjd == two.end_mjd
        np.testing.assert_array_equal(one.pixels, two.pixels)
        np.testing.assert_array_equal(one.charge, two.charge)
        assert (one.pixels.dtype, one.charge.dtype) == (np.int32, np.float16)


def test_nothing_left_is_a_state_too(tmp_path):
    write_state(tmp_path / "b.asdf", PersistenceState("WFI01", WINDOW), MADE_BY)
    assert read_state(tmp_path / "b.asdf", "WFI01", WINDOW).entries == ()


def test_equal_states_are_equal_files(path, tmp_path):
    content = path.read_bytes()
    write_state(path, STATE, MADE_BY)
    assert path.read_bytes() == content


@pytest.mark.parametrize(
    ("detector", "window", "expected"),
    [
        ("WFI05", WINDOW, "meta.instrument.detector is WFI04, expected WFI05"),
        ("WFI04", Window(0, 128, 128, 256), "of the window .*'x': 256.*expected .*'x': 0"),
    ],
)
def test_state_of_another_detector_or_window_is_refused(path, detector, window, expected):
    with pytest.raises(DataError, match=f"{path.name}: .*{expected}"):
        read_state(path, detector, window)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (ENTRIES[0]._replace(pixels=np.array([70, 3], np.int32)), "that increase"),
        (ENTRIES[0]._replace(pixels=np.array([3, 120 * 248], np.int32)), "from 0 to 29759"),
        (ENTRIES[0]._replace(pixels=np.array([3], np.int32)), "of one length"),
        (ENTRIES[0]._replace(charge=np.array([1.0, 2.0])), "expected int32 and float16"),
        (ENTRIES[0]._replace(charge=np.array([-1, 2], np.float16)), r"such as \[-1.0\]"),
        (ENTRIES[0]._replace(end_mjd=np.nan), "end_mjd is nan"),
    ],
)
def test_numbers_that_cannot_be_are_refused(tmp_path, entry, expected):
    path = tmp_path / "wrong.asdf"
    write_state(path, replace(STATE, entries=(entry,)), MADE_BY)
    with pytest.raises(DataError, match=rf"wrong.asdf: entries\[0\].*{expected}"):
        read_state(path, "WFI04", WINDOW)


def test_exposures_out_of_order_are_refused(tmp_path):
    write_state(tmp_path / "wrong.asdf", replace(STATE, entries=ENTRIES[::-1]), MADE_BY)
    with pytest.raises(DataError, match="wrong.asdf: end_mjd .* expected the latest first"):
        read_state(tmp_path / "wrong.asdf", "WFI04", WINDOW)


def test_other_products_are_refused(tmp_path):
    asdf.AsdfFile({"roman": {"meta": {}}}).write_to(tmp_path / "other.asdf")
    with pytest.raises(DataError, match="other.asdf: .*instrument.* as calibrate_exposure writes"):
        read_state(tmp_path / "other.asdf", "WFI04", WINDOW)


def test_states_of_a_run_are_sealed(tmp_path):
    run = start_run(tmp_path)
    path = run.folder / "level2" / "a_persistence.asdf"
    write_state(path, STATE, MADE_BY)
    assert read_state(path, "WFI04", WINDOW).entries[0].end_mjd == ENTRIES[0].end_mjd
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)
    with pytest.raises(Broken, match="a_persistence.asdf: damaged"):
        read_state(path, "WFI04", WINDOW)

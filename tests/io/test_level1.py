"""Level 1 files: official, whole, and of the window that is asked for."""

from dataclasses import replace

import asdf
import exposures
import numpy as np
import pytest
import roman_datamodels as rdm

from tessella import flags
from tessella.errors import DataError
from tessella.io.asdf_files import plain
from tessella.io.inventory import level1_inventory
from tessella.io.level1 import lost_fraction, read_ramp, write_ramp
from tessella.models import Window

ARRAYS = ("data", "resultant_dq", "amp33", "reference_read", "reference_amp33")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("level1")


@pytest.fixture(scope="module")
def path(folder, ramp):
    path = folder / "r0000101001001001001_0001_wfi01_f158_uncal.asdf"
    write_ramp(path, ramp, exposures.HEADER, exposures.PATTERN, {"stage": "test"})
    return path


def changed(path, target, change):
    """The file without its tags, so that no schema stands in the way of a change."""
    with asdf.open(path, memmap=False, lazy_load=False) as file:
        roman = plain(file["roman"])
    change(roman)
    asdf.AsdfFile({"roman": roman}).write_to(target)
    return target


def test_file_is_official(path):
    with rdm.open(path) as model:
        assert type(model).__name__ == "ScienceRawModel"
        assert model.validate() is None


def test_flags_of_the_reference_output_come_back_in_an_official_file(folder, ramp):
    amp33_dq = np.zeros(ramp.amp33.shape[:2], np.uint8)
    amp33_dq[1, 8:16] = flags.DROPOUT
    (folder / "flagged").mkdir()
    path = folder / "flagged" / "r0000101001001001001_0001_wfi01_f158_uncal.asdf"
    flagged = replace(ramp, amp33_dq=amp33_dq)
    write_ramp(path, flagged, exposures.HEADER, exposures.PATTERN, {"stage": "test"})
    with rdm.open(path) as model:
        assert model.validate() is None
    back, _ = read_ramp(path, exposures.WINDOW)
    np.testing.assert_array_equal(back.amp33_dq, amp33_dq)
    short = changed(
        path, folder / "flagged" / "x_uncal.asdf", lambda r: r.update(amp33_dq=amp33_dq[:, 1:])
    )
    with pytest.raises(DataError, match="amp33_dq has shape"):
        read_ramp(short, exposures.WINDOW)


def test_ramp_comes_back(path, ramp):
    back, meta = read_ramp(path, exposures.WINDOW)
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(back, name), getattr(ramp, name))
        assert getattr(back, name).dtype == getattr(ramp, name).dtype
    for name in (
        "detector",
        "optical_element",
        "read_pattern",
        "frame_time",
        "encoding_offset",
        "attitude",
    ):
        assert getattr(back, name) == getattr(ramp, name)
    assert meta["filename"] == path.name


def test_ramp_without_reference_read_comes_back(folder, ramp):
    path = folder / "absolute_uncal.asdf"
    bare = replace(ramp, reference_read=None, reference_amp33=None, encoding_offset=0)
    write_ramp(path, bare, exposures.HEADER, exposures.PATTERN, {})
    back, _ = read_ramp(path, exposures.WINDOW)
    assert back.reference_read is None
    assert back.encoding_offset == 0


@pytest.mark.parametrize(
    ("window", "words"),
    [(Window(0, 0, 256, 128), "(5, 128, 128)"), (Window(128, 128, 128, 128), "'x': 256")],
)
def test_other_window_is_refused_with_what_was_found_and_expected(path, window, words):
    with pytest.raises(DataError) as refusal:
        read_ramp(path, window)
    assert str(refusal.value).startswith(f"{path}: ")
    assert "window" in str(refusal.value)
    assert words in str(refusal.value)


@pytest.mark.parametrize(
    ("pattern", "words"),
    [([[1], [2]], "5 resultants but meta.exposure.read_pattern 2"),
     ([[1], [2], [2], [3], [4]], "does not increase"),
     ([[], [2], [3], [4], [5]], "does not increase")],
)  # fmt: skip
def test_wrong_read_pattern_is_refused(path, folder, pattern, words):
    def change(roman):
        roman["meta"]["exposure"]["read_pattern"] = pattern

    wrong = changed(path, folder / "pattern.asdf", change)
    with pytest.raises(DataError, match=words) as refusal:
        read_ramp(wrong, exposures.WINDOW)
    assert str(refusal.value).startswith(f"{wrong}: ")


@pytest.mark.parametrize(
    ("keyword", "value", "words"),
    [
        ("frame_time", 0.0, "frame_time is 0.0 s"),
        ("type", "WFI_SNAP", "type is WFI_SNAP; expected"),
    ],
)
def test_wrong_exposure_is_refused(path, folder, keyword, value, words):
    def change(roman):
        roman["meta"]["exposure"][keyword] = value

    with pytest.raises(DataError, match=words):
        read_ramp(changed(path, folder / "wrong.asdf", change), exposures.WINDOW)


@pytest.mark.parametrize(
    "keyword", ["data", "meta.exposure.frame_time", "meta.guide_star", "meta.wcsinfo"]
)
def test_missing_keyword_is_named(path, folder, keyword):
    def change(roman):
        *above, last = keyword.split(".")
        for part in above:
            roman = roman[part]
        del roman[last]

    wrong = changed(path, folder / "missing.asdf", change)
    with pytest.raises(DataError, match=keyword):
        read_ramp(wrong, exposures.WINDOW)


def test_wrong_reference_output_is_refused(path, folder):
    def change(roman):
        roman["amp33"] = np.zeros((5, 128, 64), np.uint16)

    with pytest.raises(DataError, match="amp33"):
        read_ramp(changed(path, folder / "amp33.asdf", change), exposures.WINDOW)


def test_truncated_file_is_refused(path, folder):
    content = path.read_bytes()
    cut = folder / "cut_uncal.asdf"
    for share in (0.05, 0.5, 0.99):
        cut.write_bytes(content[: int(share * len(content))])
        with pytest.raises(DataError, match="truncated") as refusal:
            read_ramp(cut, exposures.WINDOW)
        assert "\n" not in str(refusal.value)


def test_ramp_of_another_length_is_not_written(folder, ramp):
    path = folder / "long_uncal.asdf"
    for n in (6, 0):
        other = replace(ramp, data=np.concatenate([ramp.data, ramp.data])[:n])
        with pytest.raises(DataError, match=f"{n} resultants, but MultiAccum table 3 has 5"):
            write_ramp(path, other, exposures.HEADER, exposures.PATTERN, {})
        assert not path.exists()


def test_exposure_that_ended_early_is_said_to_be_truncated(folder, ramp):
    (folder / "short").mkdir()
    path = folder / "short" / "r0000101001001001001_0001_wfi01_f158_uncal.asdf"
    names = ("data", "resultant_dq", "amp33", "read_pattern")
    short = replace(ramp, **{name: getattr(ramp, name)[:3] for name in names})
    write_ramp(path, short, exposures.HEADER, exposures.PATTERN, {"stage": "test"})
    with rdm.open(path) as model:
        assert model.validate() is None
        about = model.meta.exposure
        assert (about.truncated, about.nresultants, len(about.read_pattern)) == (True, 3, 3)
        last = exposures.PATTERN.reads[2][-1]
        assert about.exposure_time == pytest.approx(last * exposures.PATTERN.frame_time)
        seconds = (about.end_time - about.start_time).sec
        assert seconds == pytest.approx(about.exposure_time, abs=1e-3)
    back, _ = read_ramp(path, exposures.WINDOW)
    assert back.read_pattern == short.read_pattern


def test_guide_window_is_cut_to_the_window(path, folder):
    def change(roman):
        names = ("xstart", "xstop", "ystart", "ystop")
        for name, value in zip(names, (300, 332, 100, 140), strict=True):
            roman["meta"]["guide_star"][f"window_{name}"] = value

    back, _ = read_ramp(changed(path, folder / "guide.asdf", change), exposures.WINDOW)
    assert back.guide_window == (44, 76, 0, 12)


def test_share_of_lost_counts(ramp):
    assert lost_fraction(ramp) == pytest.approx((1 + 5) / (5 * 128))
    assert ramp.resultant_dq[1, 20, 0] == flags.DROPOUT


def test_inventory_lists_an_exposure_once(path, folder, ramp):
    (entry,) = level1_inventory([path], exposures.WINDOW)
    assert entry["key"] == vars(exposures.KEY)
    assert entry["level1"] == {"WFI01": str(path)}
    with pytest.raises(DataError, match="same exposure and detector"):
        level1_inventory([path, path], exposures.WINDOW)
    with pytest.raises(DataError, match="the configured window has"):
        level1_inventory([path], Window(0, 0, 256, 256))


def test_files_of_romanisim_are_read():
    folder = exposures.SHARED / "data" / "romanisim"
    files = sorted(folder.glob("*_uncal.asdf"))
    if not files:
        pytest.skip(f"{folder} is not here")
    ramp, meta = read_ramp(files[0], Window(1536, 1536, 1024, 1024))
    assert ramp.data.shape == ramp.resultant_dq.shape == (5, 1024, 1024)
    assert ramp.amp33.shape == (5, 1024, 128)
    assert ramp.data.dtype == np.uint16
    assert ramp.read_pattern == exposures.PATTERN.reads
    assert ramp.reference_read is None
    assert ramp.encoding_offset == 0
    assert ramp.guide_window is None
    assert (ramp.detector, ramp.optical_element) == ("WFI01", "F106")
    assert meta["exposure"]["frame_time"] == exposures.PATTERN.frame_time
    # A pedestal of 5000 DN, and reference pixels without signal.
    counts = np.asarray(ramp.data)
    assert np.median(counts[0, 4:-4, 4:-4]) == pytest.approx(5000, abs=20)
    assert not counts[:, :4].any()

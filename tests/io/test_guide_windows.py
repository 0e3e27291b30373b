"""Guide windows in official files: what was sent, and what did not arrive."""

import numpy as np
import pytest
import roman_datamodels as rdm

from tessella.instrument.read_patterns import read_patterns
from tessella.io.guide_windows import write_guide_window
from tessella.models import ExposureHeader, ExposureKey, GuideWindow, Readout, Window

HEADER = ExposureHeader(
    ExposureKey(1, 2, 3, 4, 5, 6, 7),
    *("F106", 3, "2027-01-01T00:00:00.000", "WFI_IMAGE", 1.0, 2.0, 3.0, 1.25, 2.25, 4.0),
)
CYCLES = np.random.default_rng(1).integers(0, 1 << 16, (5, 16, 32), dtype=np.uint16)


def readout(guide: GuideWindow | None) -> Readout:
    pixels = np.zeros((5, 128, 128), np.uint16)
    planes = (pixels, pixels, pixels[0], pixels[0])
    return Readout("WFI07", Window(128, 256, 128, 128), *planes, 4000, guide)


def test_file_is_official_and_tells_what_is_missing(tmp_path):
    path = tmp_path / "r0000102003004005006_0007_wfi07_f106_gw.asdf"
    received = np.array([True, True, False, True, True])
    sent = readout(GuideWindow(140, 300, CYCLES))
    write_guide_window(path, HEADER, read_patterns()[3], sent, received, {"stage": "test"})
    with rdm.open(path) as model:
        assert type(model).__name__ == "L1DetectorGuidewindowModel"
        assert model.validate() is None
        track, meta = model.track_data, model.meta
        # Cycles are pedestals and signals in turn.
        pedestals, signals = (track[f"{kind}_resultants"] for kind in ("pedestal", "signal"))
        np.testing.assert_array_equal(pedestals[[0, 2]], CYCLES[[0, 4]])
        np.testing.assert_array_equal(signals[:2], CYCLES[[1, 3]])
        # Cycle 2 did not arrive, cycle 5 was not sent.
        assert (np.asarray(pedestals[1]) == 4000).all()
        assert (np.asarray(signals[2]) == 4000).all()
        told = meta["tessella"]["guide_window"]
        assert (list(told["missing_pedestals"]), list(told["missing_signals"])) == ([1], [2])
        assert np.asarray(track["lower_left_corners"]).tolist() == 3 * [[140, 300]]
        assert np.asarray(track["upper_right_corners"]).tolist() == 3 * [[172, 316]]
        assert np.isnan(model.centroid["track_centroids"]).all()
        assert meta.filename == path.name
        assert (meta.instrument.detector, meta.instrument.optical_element) == ("WFI07", "F106")


def test_detector_without_guide_window_is_refused(tmp_path):
    with pytest.raises(ValueError, match="WFI07 of r0000102003004005006_0007 has no guide window"):
        write_guide_window(
            tmp_path / "x.asdf", HEADER, read_patterns()[3], readout(None), np.zeros(0, bool), {}
        )

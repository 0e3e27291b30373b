"""What given files are told to hold, without a look at their pixels."""

import numpy as np
import pytest

from tessella.io.inventory import telemetry_inventory
from tessella.io.level0 import write_level0
from tessella.models import ExposureHeader, ExposureKey, Readout, Window
from tessella.telemetry.encode import packetize

KEY = ExposureKey(1, 2, 3, 4, 5, 6, 7)
HEADER = ExposureHeader(
    KEY, "F106", 3, "2027-01-01T00:00:00.000", "WFI_IMAGE", 1.0, 2.0, 3.0, 1.25, 2.25, 4.0
)


@pytest.fixture
def files(tmp_path):
    """Telemetry of one exposure, a file a detector."""
    pixels = np.zeros((2, 128, 128), np.uint16)
    planes = (pixels, pixels, pixels[0], pixels[0])
    paths = []
    for detector in ("WFI02", "WFI03"):
        paths.append(tmp_path / f"{detector}.l0")
        readout = Readout(detector, Window(128, 0, 128, 128), *planes, encoding_offset=4000)
        write_level0(paths[-1], packetize(HEADER, [readout]), {})
    return paths


def test_exposure_is_gathered_from_all_its_telemetry_files(files):
    (found,) = telemetry_inventory(files)
    assert found["telemetry"] == [str(path) for path in files]
    assert list(found["detectors"]) == ["WFI02", "WFI03"]
    assert found["key"] == vars(KEY)
    assert (found["ra"], found["dec"], found["pa"]) == (1.25, 2.25, 4.0)

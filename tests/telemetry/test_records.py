from dataclasses import replace

import numpy as np
import pytest

from tessella.telemetry.records import (
    pack_attitude,
    pack_detector,
    pack_exposure,
    unpack_attitude,
    unpack_detector,
    unpack_exposure,
)


def test_header_survives_its_records_bit_for_bit(header):
    attitude = unpack_attitude(pack_attitude(header))
    assert unpack_exposure(pack_exposure(header), header.key, attitude) == header


def test_detector_survives_its_record(readouts):
    for readout in readouts:
        setup = unpack_detector(pack_detector(readout))
        assert setup.window == readout.window
        assert setup.n_resultants == len(readout.data)
        assert setup.encoding_offset == readout.encoding_offset
        if readout.guide is not None:
            assert setup.guide.pixels.shape == readout.guide.pixels.shape
        assert (setup.guide is None) == (readout.guide is None)


def test_text_that_does_not_fit_is_refused(header):
    with pytest.raises(ValueError, match="optical_element"):
        pack_exposure(replace(header, optical_element="F" * 17))
    with pytest.raises(ValueError, match="exposure_type"):
        pack_exposure(replace(header, exposure_type="BILD\u00c4"))


def test_window_off_the_detector_is_refused():
    with pytest.raises(ValueError, match="detector"):
        unpack_detector(np.array((4096, 0, 128, 128, 1, 0, *[0] * 5), ">u2").tobytes())


@pytest.mark.parametrize("guide", [(4090, 0, 16, 16, 1), (0, 0, 64, 64, 1), (0, 0, 0, 16, 1)])
def test_impossible_guide_window_is_refused(guide):
    with pytest.raises(ValueError, match="guide window"):
        unpack_detector(np.array((0, 0, 128, 128, 1, 0, *guide), ">u2").tobytes())


def test_start_that_is_no_time_is_refused(header):
    record = pack_exposure(replace(header, start_time="sometime"))
    with pytest.raises(ValueError, match="sometime"):
        unpack_exposure(record, header.key, (1.0, 2.0, 3.0))

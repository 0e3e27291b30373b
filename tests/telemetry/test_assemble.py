from dataclasses import replace

import numpy as np
import pytest

from tessella.flags import DO_NOT_USE, DROPOUT
from tessella.telemetry.assemble import assemble_ramp
from tessella.telemetry.assembly import Received


def all_received(readout) -> Received:
    names = ("data", "amp33", "reference_read", "reference_amp33")
    return Received(**{name: np.ones(getattr(readout, name).shape, bool) for name in names})


@pytest.fixture
def readout(readouts):
    return readouts[1]


def test_whole_readout_becomes_a_ramp_without_flags(header, readout):
    ramp = assemble_ramp(header, readout, all_received(readout))
    assert not ramp.resultant_dq.any()
    assert ramp.amp33_dq is None
    assert np.array_equal(ramp.data, readout.data)
    assert ramp.data.dtype == ramp.amp33.dtype == np.uint16
    assert ramp.resultant_dq.dtype == np.uint8
    assert ramp.read_pattern == ((1,), (2, 3))
    assert (ramp.detector, ramp.optical_element) == ("WFI18", "F158")
    assert ramp.encoding_offset == 4000


def test_missing_pixels_are_dropouts_of_their_resultant_only(header, readout):
    received = all_received(readout)
    received.data[1, 3] = False
    received.amp33[0, 5] = False
    ramp = assemble_ramp(header, readout, received)
    assert (ramp.resultant_dq[1, 3] == DROPOUT).all()
    assert np.count_nonzero(ramp.resultant_dq) == readout.window.nx
    assert (ramp.data[1, 3] == 4000).all()
    assert (ramp.amp33[0, 5] == 4000).all()
    assert ramp.amp33_dq[0, 5] == DROPOUT
    assert np.count_nonzero(ramp.amp33_dq) == 1


def test_without_its_reference_read_a_pixel_cannot_be_used(header, readout):
    received = all_received(readout)
    received.reference_read[7] = False
    dq = assemble_ramp(header, readout, received).resultant_dq
    assert (dq[:, 7] == DROPOUT | DO_NOT_USE).all()
    assert np.count_nonzero(dq) == dq[:, 7].size


def test_without_its_reference_read_a_row_of_the_reference_output_cannot_be_used(header, readout):
    received = all_received(readout)
    received.reference_amp33[8:16] = False
    ramp = assemble_ramp(header, readout, received)
    assert (ramp.amp33_dq[:, 8:16] == DROPOUT | DO_NOT_USE).all()
    assert np.count_nonzero(ramp.amp33_dq) == ramp.amp33_dq[:, 8:16].size
    assert not ramp.resultant_dq.any()


def test_inputs_are_not_changed(header, readout):
    received = all_received(readout)
    received.data[0, 0] = False
    before = readout.data.copy()
    assemble_ramp(header, readout, received)
    assert np.array_equal(readout.data, before)


def test_unknown_ma_table_is_refused(header, readout):
    with pytest.raises(ValueError, match="no MA table 77"):
        assemble_ramp(replace(header, ma_table_number=77), readout, all_received(readout))

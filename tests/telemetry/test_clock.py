import numpy as np
import pytest

from tessella.telemetry.clock import iso_time, read_time, seconds_since_epoch, write_time
from tessella.telemetry.packets import HEADER


def test_time_survives_the_packet_to_the_clock_resolution():
    seconds = seconds_since_epoch("2027-03-04T05:06:07.890123")
    headers = np.zeros(3, HEADER)
    write_time(headers, seconds)
    # 3 octets of fraction, rounded to nearest.
    assert np.abs(read_time(headers) - seconds).max() <= 2.0**-25
    assert iso_time(seconds) == "2027-03-04T05:06:07.890123"


def test_time_zone_is_taken_into_account():
    assert seconds_since_epoch("2020-01-01T02:00:00+02:00") == 0


@pytest.mark.parametrize("time", ["2019-12-31T23:59:59", "2157-01-01T00:00:00"])
def test_time_that_packets_cannot_hold_is_refused(time):
    with pytest.raises(ValueError, match="use 2020 to 2156"):
        seconds_since_epoch(time)


def test_text_that_is_no_time_is_refused():
    with pytest.raises(ValueError, match="yesterday"):
        seconds_since_epoch("yesterday")

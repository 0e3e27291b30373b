import numpy as np
import pytest

from tessella.telemetry.codecs import CODECS


@pytest.mark.parametrize("number", CODECS)
def test_codec_is_lossless(number):
    pixels = np.array([0, 1, 4000, 65535], np.uint16)
    codec = CODECS[number]
    assert np.array_equal(codec.decode(memoryview(codec.encode(pixels)), 4), pixels)


def test_plain_pixels_are_big_endian():
    assert CODECS[0].encode(np.array([0x0102], np.uint16)) == b"\x01\x02"


@pytest.mark.parametrize("number", CODECS)
def test_wrong_number_of_pixels_is_refused(number):
    codec = CODECS[number]
    with pytest.raises(ValueError, match="5"):
        codec.decode(memoryview(codec.encode(np.zeros(4, np.uint16))), 5)

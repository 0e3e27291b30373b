import numpy as np
import pytest

from tessella.telemetry.codecs import CODECS, PLAIN, RICE


@pytest.mark.parametrize("number", CODECS)
def test_codec_is_lossless(number):
    pixels = np.array([0, 1, 4000, 65535], np.uint16)
    codec = CODECS[number]
    assert np.array_equal(codec.decode(memoryview(codec.encode(pixels)), 4), pixels)


def test_plain_pixels_are_big_endian():
    assert CODECS[0].encode(np.array([0x0102], np.uint16)) == b"\x01\x02"


@pytest.mark.parametrize("number", CODECS)
@pytest.mark.parametrize("n_pixels", [1, 63, 64, 65, 1024, 4096])
def test_noise_of_any_length_comes_back(number, n_pixels):
    pixels = np.random.default_rng(n_pixels).integers(0, 1 << 16, n_pixels, dtype=np.uint16)
    codec = CODECS[number]
    assert np.array_equal(codec.decode(codec.encode(pixels), n_pixels), pixels)


def test_rows_of_a_detector_get_less_than_half_as_long():
    # Noise of 8 DN has 5.05 bits of entropy: log2(8 sqrt(2 pi e)).
    noise = np.random.default_rng(1).normal(4000, 8, 4096).astype(np.uint16)
    assert len(CODECS[RICE].encode(noise)) < 4096


@pytest.mark.parametrize(("number", "wanted"), [(PLAIN, 64), (PLAIN, 192), (RICE, 192)])
def test_wrong_number_of_pixels_is_refused(number, wanted):
    codec = CODECS[number]
    sent = np.arange(128, dtype=np.uint16)
    with pytest.raises(ValueError, match="pixels"):
        codec.decode(memoryview(codec.encode(sent)), wanted)


def test_noise_in_place_of_compressed_pixels_gives_pixels_or_is_refused():
    rng = np.random.default_rng(2)
    for _ in range(500):
        payload = rng.integers(0, 256, rng.integers(1, 400), dtype=np.uint8).tobytes()
        try:
            assert len(CODECS[RICE].decode(payload, 1024)) == 1024
        except ValueError:
            continue

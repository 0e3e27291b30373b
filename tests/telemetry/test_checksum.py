import binascii

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tessella.telemetry.checksum import crc


def test_crc_is_ccitt_false():
    assert crc(b"123456789") == 0x29B1


def test_crc_of_data_with_their_own_crc_is_zero():
    assert crc(b"123456789" + bytes.fromhex("29b1")) == 0


@given(st.binary(max_size=200))
def test_tables_agree_with_the_bitwise_definition(data):
    assert crc(data) == binascii.crc_hqx(data, 0xFFFF)


def test_every_flip_of_two_bits_is_noticed_in_a_longest_packet():
    rng = np.random.default_rng(5)
    data = rng.integers(0, 256, 3998, dtype=np.uint8).tobytes()
    sealed = bytearray(data + crc(data).to_bytes(2, "big"))
    for a, b in rng.integers(0, 8 * len(sealed), (2000, 2)):
        for bit in {int(a), int(b)}:
            sealed[bit // 8] ^= 1 << bit % 8
        assert a == b or crc(sealed) != 0
        for bit in {int(a), int(b)}:
            sealed[bit // 8] ^= 1 << bit % 8

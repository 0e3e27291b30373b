"""The mission's numbers."""

import pytest

from tessella.instrument.optical_elements import ab_zero_point, filters
from tessella.instrument.performance import read_noise_electrons
from tessella.instrument.siaf import DETECTORS


def test_filters_are_named_after_their_wavelengths():
    for name, element in filters().items():
        assert 100 * element.wavelength_center == pytest.approx(int(name[1:]), rel=0.02)
        assert element.wavelength_min < element.wavelength_center < element.wavelength_max
        assert element.zodiacal_rate > 0
        assert element.thermal_rate > 0


def test_every_filter_has_a_zero_point_on_every_detector():
    for detector in DETECTORS:
        for element in filters():
            assert 24 < ab_zero_point(detector, element) < 29


def test_every_detector_has_a_read_noise():
    # Requirement on a difference of two reads: 20 electrons; a read is that over sqrt(2).
    assert all(5 < read_noise_electrons(detector) < 20 for detector in DETECTORS)


def test_what_the_tables_lack_is_refused_by_name():
    with pytest.raises(KeyError, match="F999 on WFI01"):
        ab_zero_point("WFI01", "F999")
    with pytest.raises(KeyError, match="WFI19"):
        read_noise_electrons("WFI19")

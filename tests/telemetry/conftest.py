"""A small exposure of two detectors: rows of two cells, cells of eight rows, a guide window."""

import numpy as np
import pytest

from tessella.models import ExposureHeader, ExposureKey, GuideWindow, Readout, Window

HEADER = ExposureHeader(
    key=ExposureKey(90001, 12, 123, 34, 999, 7, 42),
    optical_element="F158",
    ma_table_number=3,
    start_time="2027-03-04T05:06:07.890",
    exposure_type="WFI_IMAGE",
    ra_v1=10.25,
    dec_v1=-20.5,
    pa_v3=359.999,
    target_ra=10.3,
    target_dec=-20.4,
    pa_aperture=0.1,
)


def make_readout(
    detector: str, window: Window, n_resultants: int = 2, guide: tuple[int, int] | None = None
) -> Readout:
    rng = np.random.default_rng(7)

    def pixels(*shape):
        """Noise that gets shorter by compression, but for some rows."""
        noise = 4000 + rng.integers(0, 64, shape, dtype=np.uint16)
        noise[..., 5:8, :] = rng.integers(0, 1 << 16, noise[..., 5:8, :].shape)
        return noise

    ny, nx = window.shape
    return Readout(
        detector=detector,
        window=window,
        data=pixels(n_resultants, ny, nx),
        amp33=pixels(n_resultants, ny, 128),
        reference_read=pixels(ny, nx),
        reference_amp33=pixels(ny, 128),
        encoding_offset=4000,
        guide=None if guide is None else GuideWindow(*guide, pixels(3, 16, 32)),
    )


@pytest.fixture(scope="session")
def header() -> ExposureHeader:
    return HEADER


@pytest.fixture(scope="session")
def readouts() -> list[Readout]:
    return [
        make_readout("WFI01", Window(128, 256, 1280, 128), guide=(700, 300)),
        make_readout("WFI18", Window(3968, 0, 128, 128)),
    ]

"""One small detector window, its references and an exposure of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from tessella import flags
from tessella.astrometry.gwcs_model import build_gwcs
from tessella.astrometry.wcs import attitude_of
from tessella.detector.persistence_state import PersistenceState, remember
from tessella.detector.state import DetectorMaps, DetectorState, draw_maps
from tessella.instrument.read_patterns import read_patterns
from tessella.models import (
    CHANNEL_WIDTH,
    Border,
    ExposureHeader,
    ExposureKey,
    Image,
    Ramp,
    Readout,
    Reference,
    Window,
)
from tessella.references.make import (
    dark_decay_rows,
    measure_converter,
    measure_flat,
    measure_maps,
    photometry_row,
)
from tessella.simulate.exposure import expose

SHARED = Path(__file__).parents[2] / "shared"
DETECTOR = "WFI01"
ELEMENT = "F158"
WINDOW = Window(256, 128, 128, 128)
PATTERN = read_patterns()[3]
KEY = ExposureKey(1, 1, 1, 1, 1, 1, 1)
#: 1 July 2028.
START_MJD = 61953.0
HEADER = ExposureHeader(
    KEY, ELEMENT, 3, "2028-07-01T00:00:00", "WFI_IMAGE", 12.0, 85.0, 10.0, 12.108, 85.255, 0.0
)
OPTIONS = {
    "skip": [],
    "saturation": {"grow_pixels": 0},
    "slopes": {"rejection_threshold": 4.5, "expand_large_events": True},
    "persistence": {
        "threshold_electrons_per_s": 0.05,
        "subtract": False,
        "full_well_electrons": 1.1e5,
    },
    "minimum_detectors": 1,
}
STATE = DetectorState(
    gain_electrons_per_dn=2.0,
    gain_scatter=0.005,
    read_noise_electrons=12.0,
    read_noise_scatter=0.1,
    reference_pixel_noise_ratio=0.55,
    dark_electrons_per_s=0.02,
    dark_scatter=0.4,
    hot_pixel_fraction=0.002,
    dead_pixel_fraction=0.002,
    pedestal_dn=5000.0,
    pedestal_scatter_dn=50.0,
    saturation_dn=52000.0,
    saturation_scatter_dn=1000.0,
    nonlinearity_per_dn=4e-7,
    nonlinearity_scatter=0.1,
    flat_scatter=0.01,
    ipc_kernel=((0.002, 0.017, 0.002), (0.019, 0.92, 0.019), (0.002, 0.017, 0.002)),
    jitter_mas=8.0,
    charge_diffusion_um=3.0,
    defocus_waves=0.0,
    read_jitter_mas=0.0,
    chromatic_psf=False,
    brighter_fatter_per_electron=(0.0, 0.0),
    channel_drift_dn=0.5,
    dark_decay_dn=0.4,
    dark_decay_s=23.0,
    integral_nonlinearity_dn=5.0,
    integral_nonlinearity_period_dn=8192.0,
    correlated_noise_dn=0.5,
    channel_noise_dn=0.25,
    pixel_drift_electrons=0.0,
    telegraph_pixel_fraction=0.0,
    telegraph_dn=0.0,
    telegraph_chance=0.0,
    snowballs_per_cm2_s=0.0,
    wfi18_transient_dn=(0.0, 0.0),
    wfi18_transient_s=(0.23, 0.77),
    persistence_ratio=0.0,
    maps_seed=101,
    measurement_seed=202,
    flat_error=0.002,
)
__all__ = ["draw_maps"]


def make_references(state: DetectorState, maps: DetectorMaps) -> dict[str, Reference]:
    measured = measure_maps(state, maps, DETECTOR)
    measured["flat"] = measure_flat(state, maps, DETECTOR, ELEMENT)
    if state.integral_nonlinearity_dn:
        measured["integralnonlinearity"] = measure_converter(state, DETECTOR)
    chosen = {
        name: Reference(name, f"{name}.asdf", locked(arrays)) for name, arrays in measured.items()
    }
    tables = {
        "photom": {ELEMENT: photometry_row(state, DETECTOR, ELEMENT)},
        "darkdecaysignal": dark_decay_rows(state),
    }
    return chosen | {
        name: Reference(name, f"{name}.asdf", {}, rows) for name, rows in tables.items()
    }


def locked(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    copies = {name: np.array(values) for name, values in arrays.items()}
    for values in copies.values():
        values.setflags(write=False)
    return copies


def scene() -> np.ndarray:
    """Sky of 1 electron / s with blurred stars up to saturation, (120, 120)."""
    rate = np.full(WINDOW.active_shape, 1.0)
    y, x = np.mgrid[: rate.shape[0], : rate.shape[1]]
    for flux, x0, y0 in (
        (300, 30.2, 30.4),
        (3000, 80.0, 40.0),
        (1e5, 60.3, 90.6),
        (2e6, 100.0, 100.0),
    ):
        rate += flux * np.exp(-((x - x0) ** 2 + (y - y0) ** 2) / 2) / (2 * np.pi)
    return rate


def make_ramp(state: DetectorState, maps: DetectorMaps) -> Ramp:
    ramp = ramp_of(expose(scene(), maps, state, PATTERN, DETECTOR, KEY, 7, 4000))
    resultant_dq, data = ramp.resultant_dq.copy(), ramp.data.copy()
    resultant_dq[1, 20], resultant_dq[:, 70] = flags.DROPOUT, flags.DROPOUT | flags.DO_NOT_USE
    data[1, 20], data[:, 70] = 4000, 4000
    return replace(
        ramp,
        guide_window=(8, 16, 8, 16),
        persistence=left_before(),
        **locked({"data": data, "resultant_dq": resultant_dq}),
    )


def ramp_of(readout: Readout) -> Ramp:
    """What was sent, as Level 1, with arrays that cannot be written to."""
    arrays = {
        "data": readout.data,
        "resultant_dq": np.zeros(readout.data.shape, np.uint8),
        "amp33": readout.amp33,
        "reference_read": readout.reference_read,
        "reference_amp33": readout.reference_amp33,
    }
    return Ramp(
        detector=readout.detector,
        optical_element=ELEMENT,
        window=readout.window,
        read_pattern=PATTERN.reads,
        frame_time=PATTERN.frame_time,
        encoding_offset=readout.encoding_offset,
        attitude=attitude_of(readout.detector, 12.108, 85.255, 0.0, HEADER.start_time),
        start_mjd=START_MJD,
        **locked(arrays),
    )


def left_before() -> PersistenceState:
    """What an exposure left that ended a minute before: one row of stars."""
    charge = np.zeros(WINDOW.active_shape, np.float16)
    charge[50] = 60.0
    state = PersistenceState(DETECTOR, WINDOW)
    return remember(state, charge, PATTERN.exposure_time, START_MJD - 60 / 86400, 1.1e5)


def make_image(data: np.ndarray, err: float, window: Window, attitude=None, **changes) -> Image:
    """An image without flags: `data` of the window's active shape [DN / s], noise `err`."""
    attitude = attitude or attitude_of(DETECTOR, 12.108, 85.255, 0.0, HEADER.start_time)
    some = np.full(data.shape, float(err))
    image = Image(
        detector=DETECTOR,
        optical_element=ELEMENT,
        window=window,
        data=data,
        dq=np.zeros(data.shape, np.uint32),
        err=some,
        var_poisson=some**2 / 2,
        var_rnoise=some**2 / 2,
        var_flat=0 * some,
        chisq=1 + 0 * some,
        dumo=0 * some,
        jumps=np.zeros((0, 3), np.int16),
        attitude=attitude,
        wcs=build_gwcs(attitude, DETECTOR, window),
        conversion_megajanskys=0.7,
        conversion_uncertainty=0.007,
        pixel_area_sr=2.808e-13,
    )
    return replace(image, **changes)


def plain_border(image: Image) -> tuple[Border, np.ndarray]:
    """Reference pixels and output that can be archived with an image."""
    ny, nx = image.window.shape
    n = len(PATTERN.reads)
    shapes = {"left": (ny, 4), "right": (ny, 4), "bottom": (4, nx), "top": (4, nx)}
    amp33 = np.zeros((n, ny, CHANNEL_WIDTH), np.uint16)
    border = Border(
        counts={side: np.zeros((n, *shape), np.float32) for side, shape in shapes.items()},
        resultant_dq={side: np.zeros((n, *shape), np.uint8) for side, shape in shapes.items()},
        dq={side: np.zeros(shape, np.uint32) for side, shape in shapes.items()},
        amp33=amp33.astype(np.float32),
        amp33_dq=np.zeros((n, ny), np.uint8),
    )
    return border, amp33

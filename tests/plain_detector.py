"""A plain detector, on which every number can be told beforehand."""

import numpy as np

from tessella.detector.encoding import decode
from tessella.detector.state import DetectorState
from tessella.models import Readout

KERNEL = np.array([[0.21, 1.66, 0.22], [1.88, 91.59, 1.87], [0.21, 1.62, 0.20]])
KERNEL /= KERNEL.sum()
#: Linear, without cosmic rays, drift, dark current, hot and dead pixels, faults of the electronics.
STATE = DetectorState(
    gain_electrons_per_dn=2.0,
    gain_scatter=0.0,
    read_noise_electrons=10.0,
    read_noise_scatter=0.0,
    reference_pixel_noise_ratio=0.8,
    dark_electrons_per_s=0.0,
    dark_scatter=0.0,
    hot_pixel_fraction=0.0,
    dead_pixel_fraction=0.0,
    pedestal_dn=5000.0,
    pedestal_scatter_dn=0.0,
    saturation_dn=55000.0,
    saturation_scatter_dn=0.0,
    nonlinearity_per_dn=0.0,
    nonlinearity_scatter=0.0,
    flat_scatter=0.0,
    ipc_kernel=tuple(map(tuple, KERNEL)),
    jitter_mas=8.0,
    charge_diffusion_um=2.94,
    defocus_waves=0.0,
    read_jitter_mas=0.0,
    chromatic_psf=False,
    brighter_fatter_per_electron=(0.0, 0.0),
    channel_drift_dn=0.0,
    dark_decay_dn=0.0,
    dark_decay_s=23.0,
    integral_nonlinearity_dn=0.0,
    integral_nonlinearity_period_dn=0.0,
    correlated_noise_dn=0.0,
    channel_noise_dn=0.0,
    pixel_drift_electrons=0.0,
    telegraph_pixel_fraction=0.0,
    telegraph_dn=0.0,
    telegraph_chance=0.0,
    snowballs_per_cm2_s=0.0,
    wfi18_transient_dn=(0.0, 0.0),
    wfi18_transient_s=(0.23, 0.77),
    persistence_ratio=0.0,
    maps_seed=1,
    measurement_seed=2,
    flat_error=0.0,
)


def absolute(readout: Readout) -> np.ndarray:
    """Counts before the reference read was subtracted on board [DN]."""
    return decode(readout.data, readout.reference_read, readout.encoding_offset)

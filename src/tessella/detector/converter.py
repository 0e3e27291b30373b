"""The converter of one detector: what its integral nonlinearity is."""

import numpy as np

from tessella.detector.integral_nonlinearity import N_COUNTS, draw_integral_nonlinearity
from tessella.detector.readout import N_CHANNELS
from tessella.detector.state import DetectorState
from tessella.randomness import generator


def draw_converter(state: DetectorState, detector: str) -> np.ndarray:
    """Draw the corrections that the counts of one detector need, channel by channel.

    Parameters
    ----------
    state : DetectorState
        Its `integral_nonlinearity_dn` of 0 gives a straight converter.
    detector : str
        RAD name; keys the draw, with the `maps_seed` of the state.

    Returns
    -------
    ndarray of shape (32, 65536), float32
        Correction of the raw counts 0, 1, 2 ... [DN], for `integral_nonlinearity.tabulate`.

    Examples
    --------
    >>> # correction = draw_converter(state, "WFI01")
    """
    if state.integral_nonlinearity_dn == 0:
        return np.zeros((N_CHANNELS, N_COUNTS), np.float32)
    return draw_integral_nonlinearity(
        state.integral_nonlinearity_dn,
        state.integral_nonlinearity_period_dn,
        generator("integral nonlinearity", state.maps_seed, detector),
    )

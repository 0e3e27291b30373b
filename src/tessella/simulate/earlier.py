"""What the light of earlier exposures leaves in the traps of a detector."""

import numpy as np

from tessella.detector.persistence_state import PersistenceState, remember
from tessella.detector.state import DetectorMaps
from tessella.instrument.read_patterns import ReadPattern
from tessella.models import BORDER

_ACTIVE = np.s_[BORDER:-BORDER, BORDER:-BORDER]
_SECONDS_PER_DAY = 86400.0


def add_light(
    before: PersistenceState,
    rate: np.ndarray,
    maps: DetectorMaps,
    pattern: ReadPattern,
    start_mjd: float,
) -> PersistenceState:
    """Add the light of one exposure to what those before it left.

    Parameters
    ----------
    before : PersistenceState
        Of the same detector and window as `maps`.
    rate : ndarray of shape (ny - 8, nx - 8)
        Light on the active pixels for a response of 1 [electrons / s].
    maps : DetectorMaps
        What each pixel of the window is like, (ny, nx).
    pattern : ReadPattern
        Of the exposure.
    start_mjd : float
        Its start, not before the end of those in `before`.

    Returns
    -------
    PersistenceState
        What the next exposure sees.

    Raises
    ------
    ValueError
        If `rate` does not fit the window, or the exposure does not end after those known.

    Examples
    --------
    >>> # earlier = add_light(PersistenceState("WFI01", window), rate, maps, pattern, 61953.0)
    """
    duration = sum(pattern.reads_per_resultant) * pattern.frame_time
    # ASSUME: only light fills traps. The dark current always flows: what it fills and what leaks
    # out for it are part of the dark current that is measured.
    charge = np.minimum(rate * maps.flat[_ACTIVE] * duration, maps.full_well[_ACTIVE])
    end = start_mjd + duration / _SECONDS_PER_DAY
    return remember(before, charge / 1e3, duration, end, float(maps.full_well.max()))

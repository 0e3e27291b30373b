"""Exposures as they are planned, with one detector."""

from tessella.astrometry.wcs import attitude_of
from tessella.models import ExposureKey, PlannedExposure, Window

WINDOW = Window(1536, 1536, 1024, 1024)
#: By which footprints are grown in a plan [arcsec].
MARGIN = 31.0


def exposure(number, ra, dec=85.255, element="F158"):
    """Return an exposure of WFI01 by its number."""
    attitude = tuple(vars(attitude_of("WFI01", ra, dec, 0.0)).values())
    key = ExposureKey(1, 1, 1, 1, 1, 1, number)
    start = "2028-07-01T00:00:00"
    return PlannedExposure(key, element, 3, start, ra, dec, 0.0, {"WFI01": attitude})

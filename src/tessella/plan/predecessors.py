"""Which exposure came before: what it left in a detector's traps shows in the next one."""

from collections.abc import Iterable
from datetime import datetime

from tessella.models import PlannedExposure


def predecessors(
    exposures: Iterable[PlannedExposure], horizon_s: float
) -> dict[tuple[str, str], str]:
    """Find the exposure that each detector took before.

    Parameters
    ----------
    exposures : iterable of PlannedExposure
        Of any type, in any order.
    horizon_s : float
        Exposures that started longer before are not felt [s].

    Returns
    -------
    dict
        From name of exposure and detector to the name of the latest one with that detector that
        started earlier; those that have none within the horizon are left out.

    Examples
    --------
    >>> from tessella.models import ExposureKey
    >>> def planned(n, start):
    ...     key = ExposureKey(1, 1, 1, 1, 1, 1, n)
    ...     return PlannedExposure(key, "F158", 3, start, 0, 0, 0, {"WFI01": ()})
    >>> pair = planned(1, "2028-07-01T00:00:00"), planned(2, "2028-07-01T00:02:00")
    >>> predecessors(pair, 3600.0)
    {('r0000101001001001001_0002', 'WFI01'): 'r0000101001001001001_0001'}
    """
    found: dict[tuple[str, str], str] = {}
    latest: dict[str, list[tuple[datetime, str]]] = {}
    started = [(datetime.fromisoformat(one.start_time), one.name, one) for one in exposures]
    for start, name, exposure in sorted(started, key=lambda entry: entry[:2]):
        for detector in exposure.detectors:
            seen = latest.setdefault(detector, [])
            # Of two that are said to start together neither came before the other.
            before = next((one for one in reversed(seen) if one[0] < start), None)
            if before is not None and (start - before[0]).total_seconds() <= horizon_s:
                found[name, detector] = before[1]
            seen.append((start, name))
    return found

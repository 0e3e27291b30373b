"""Measured noise and dark current of the detectors (thermal vacuum test 2, medians; CC0 tables)."""

from functools import cache

from tessella.instrument.tables import rows


def _median(table: str, detector: str, column: str) -> float:
    number = str(int(detector[3:]))
    for row in rows(table):
        # The first column counts the detectors, whatever its name.
        if next(iter(row.values())) == number:
            return float(row[column])
    raise KeyError(f"{table} has no detector {detector}")


@cache
def read_noise_electrons(detector: str) -> float:
    """Return the noise of one read [electrons]: that of a difference of two, over sqrt(2).

    Examples
    --------
    >>> round(read_noise_electrons("WFI01"), 2)
    12.37
    """
    return _median("WFI_CDS_Noise_summary.ecsv", detector, "CDS Noise - Median") / 2**0.5


@cache
def total_noise_electrons(detector: str) -> float:
    """Return the noise of the charge that a slope gives [electrons].

    Measured with darks of 55 reads in 170 s, as the scatter of the slope of each pixel times the
    time of its exposure: noise of reads, of the dark current and whatever is slower than a read.

    Examples
    --------
    >>> round(total_noise_electrons("WFI01"), 2)
    6.67
    """
    return _median("WFI_Total_noise.ecsv", detector, "Total noise - median")

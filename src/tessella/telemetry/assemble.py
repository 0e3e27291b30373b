"""From the pixels that were received to a ramp with flags: the content of Level 1."""

import numpy as np

from tessella.astrometry.wcs import attitude_of
from tessella.flags import DO_NOT_USE, DROPOUT, GOOD
from tessella.instrument.read_patterns import read_patterns
from tessella.models import ExposureHeader, Ramp, Readout
from tessella.telemetry.assembly import Received


def assemble_ramp(header: ExposureHeader, readout: Readout, received: Received) -> Ramp:
    """Make a ramp of one detector and flag what was lost in transmission.

    A pixel that is missing in a resultant holds the encoding offset there and is flagged
    DROPOUT. Without its reference read a pixel has no absolute level: all its resultants are
    flagged DROPOUT and DO_NOT_USE. The same holds for rows of the reference output, which have
    flags of their own, one a row.

    Parameters
    ----------
    header : ExposureHeader
    readout : Readout
        (n_resultants, ny, nx) [DN].
    received : Received
        True where a pixel arrived; same shapes.

    Raises
    ------
    ValueError
        If the MA table is unknown or has fewer resultants than the readout.

    Examples
    --------
    >>> from tessella.models import ExposureKey, Window
    >>> header = ExposureHeader(ExposureKey(1, 1, 1, 1, 1, 1, 1), "F158", 3,
    ...     "2027-01-01T00:00:00", "WFI_IMAGE", 10.0, 20.0, 30.0, 10.0, 20.0, 30.0)
    >>> planes = [np.zeros(shape, np.uint16) for shape in 2 * [(2, 128, 128)] + 2 * [(128, 128)]]
    >>> readout = Readout("WFI01", Window(0, 0, 128, 128), *planes, encoding_offset=4000)
    >>> ramp = assemble_ramp(header, readout, Received(*(plane == 0 for plane in planes)))
    >>> ramp.read_pattern, int(ramp.resultant_dq.max())
    (((1,), (2, 3)), 0)
    """
    table = read_patterns().get(header.ma_table_number)
    n_resultants = len(readout.data)
    if table is None or len(table.reads) < n_resultants:
        raise ValueError(f"no MA table {header.ma_table_number} of {n_resultants} resultants")
    resultant_dq = np.where(received.data, GOOD, DROPOUT).astype(np.uint8)
    resultant_dq[:, ~received.reference_read] |= DROPOUT | DO_NOT_USE
    amp33_dq = np.where(received.amp33.all(axis=2), GOOD, DROPOUT).astype(np.uint8)
    amp33_dq[:, ~received.reference_amp33.all(axis=1)] |= DROPOUT | DO_NOT_USE
    offset = np.uint16(readout.encoding_offset)
    return Ramp(
        detector=readout.detector,
        optical_element=header.optical_element,
        window=readout.window,
        data=np.where(received.data, readout.data, offset),
        resultant_dq=resultant_dq,
        amp33=np.where(received.amp33, readout.amp33, offset),
        read_pattern=table.reads[:n_resultants],
        frame_time=table.frame_time,
        attitude=attitude_of(
            readout.detector,
            header.target_ra,
            header.target_dec,
            header.pa_aperture,
            header.start_time,
        ),
        reference_read=readout.reference_read,
        reference_amp33=readout.reference_amp33,
        amp33_dq=amp33_dq if amp33_dq.any() else None,
        encoding_offset=readout.encoding_offset,
    )

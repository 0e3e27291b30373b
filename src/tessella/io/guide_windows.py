"""Guide windows of Level 1, in official files (`..._gw.asdf`, L1DetectorGuidewindowModel).

What telemetry of our own design does not carry keeps the official placeholders: guide stars,
acquisition, times and flags of single resultants, the reference output. Centroids are NaN, as
where they were not sent.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from astropy.time import Time, TimeDelta

import tessella
from tessella.instrument.read_patterns import ReadPattern
from tessella.io.asdf_files import save_model
from tessella.io.exposure_meta import ORIGIN, SOFTWARE, file_name, update
from tessella.io.rad import datamodels as rdm
from tessella.models import ExposureHeader, GuideWindow, Readout


def write_guide_window(
    path: str | Path,
    header: ExposureHeader,
    pattern: ReadPattern,
    readout: Readout,
    received: np.ndarray,
    provenance: Mapping[str, Any],
) -> None:
    """Write the guide window of one detector.

    Cycles come in pairs, pedestal and signal. What did not arrive, and the signal of a pedestal
    that was the last to be sent, holds the encoding offset and is named in ``meta.tessella``.

    Parameters
    ----------
    path : path
    header : ExposureHeader
    pattern : ReadPattern
        Of the MultiAccum table.
    readout : Readout
        With a guide window of (n_cycles, ny, nx) [DN].
    received : (n_cycles,) bool
        The cycle arrived.
    provenance : mapping
        How the file is made.

    Raises
    ------
    ValueError
        If the readout has no guide window.
    DataError
        If the schema refuses the file.
    """
    guide = readout.guide
    if guide is None:
        raise ValueError(f"{readout.detector} of {header.key.name} has no guide window")
    pairs, arrived = paired(guide.pixels, received, readout.encoding_offset)
    model = rdm.L1DetectorGuidewindowModel.create_fake_data()
    duration = pattern.first(len(readout.data)).exposure_time
    update(model.meta, _meta(header, readout.detector, guide, duration))
    missing = {
        f"missing_{kind}": np.flatnonzero(~arrived[:, k]).tolist()
        for k, kind in enumerate(("pedestals", "signals"))
    }
    model.meta["tessella"] = {**provenance, "guide_window": missing}
    _, ny, nx = guide.pixels.shape
    corners = np.array([[guide.x, guide.y], [guide.x + nx, guide.y + ny]], np.uint16)
    model["track_data"] = {
        "pedestal_resultants": np.ascontiguousarray(pairs[:, 0]),
        "signal_resultants": np.ascontiguousarray(pairs[:, 1]),
        "lower_left_corners": np.tile(corners[0], (len(pairs), 1)),
        "upper_right_corners": np.tile(corners[1], (len(pairs), 1)),
        "pixel_offsets": readout.encoding_offset,
    }
    model["centroid"] = {"track_centroids": np.full((len(pairs), 2), np.nan, np.float32)}
    save_model(model, path, provenance)


def paired(
    pixels: np.ndarray, received: np.ndarray, encoding_offset: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return cycles in pairs of pedestal and signal, and which of them arrived.

    Parameters
    ----------
    pixels : (n_cycles, ny, nx) uint16
    received : (n_cycles,) bool
    encoding_offset : int
        What cycles hold that are not there [DN].

    Returns
    -------
    pairs : (n, 2, ny, nx) uint16
    arrived : (n, 2) bool

    Examples
    --------
    >>> pairs, arrived = paired(np.ones((3, 1, 1), np.uint16), np.array([True, False, True]), 40)
    >>> pairs[..., 0, 0].tolist(), arrived.tolist()
    ([[1, 40], [1, 40]], [[True, False], [True, False]])
    """
    n_cycles, ny, nx = pixels.shape
    n_pairs = -(-n_cycles // 2)
    pairs = np.full((2 * n_pairs, ny, nx), encoding_offset, np.uint16)
    arrived = np.zeros(2 * n_pairs, bool)
    pairs[:n_cycles][received] = pixels[received]
    arrived[:n_cycles] = received
    return pairs.reshape(n_pairs, 2, ny, nx), arrived.reshape(n_pairs, 2)


def _meta(
    header: ExposureHeader, detector: str, guide: GuideWindow, duration: float
) -> dict[str, Any]:
    start = Time(header.start_time, scale="utc", format="isot")
    _, ny, nx = guide.pixels.shape
    return {
        **SOFTWARE,
        "telescope": "ROMAN",
        "origin": ORIGIN,
        "product_type": "l1",
        "filename": file_name(header, detector, "gw"),
        "file_date": start,
        "sdf_software_version": f"tessella {tessella.__version__}",
        "instrument": {
            "name": "WFI",
            "detector": detector,
            "optical_element": header.optical_element,
        },
        "t_start": start,
        "t_stop": start + TimeDelta(duration, format="sec"),
        "guide_window": {
            "min_track_xstart": guide.x,
            "min_track_ystart": guide.y,
            "max_track_xstop": guide.x + nx,
            "max_track_ystop": guide.y + ny,
            "track_xsize": nx,
            "track_ysize": ny,
        },
    }

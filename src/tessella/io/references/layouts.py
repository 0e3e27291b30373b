"""What files of each reference type hold: RAD's `reference_files` schemas, as one table."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tessella.io.rad import datamodels as rdm


@dataclass(frozen=True)
class Layout:
    """What a file of one type holds."""

    #: Of roman_datamodels.
    model: Any
    #: Names of arrays to their number of axes.
    arrays: Mapping[str, int] = field(default_factory=dict)
    #: What the last two axes of the arrays are: pixels of the ``detector``, those that are
    #: ``active``, or no pixels.
    pixels: str = ""
    #: The entry that holds a table of rows.
    table: str = ""
    #: Whether it holds for all detectors.
    of_instrument: bool = False


_DETECTOR, _ACTIVE = "detector", "active"
#: By the names that the mission's reference system has for the types, in lower case.
LAYOUTS: Mapping[str, Layout] = {
    "mask": Layout(rdm.MaskRefModel, {"dq": 2}, _DETECTOR),
    "saturation": Layout(rdm.SaturationRefModel, {"data": 2, "dq": 2}, _DETECTOR),
    "linearity": Layout(rdm.LinearityRefModel, {"coeffs": 3, "dq": 2}, _DETECTOR),
    "inverselinearity": Layout(rdm.InverselinearityRefModel, {"coeffs": 3, "dq": 2}, _DETECTOR),
    "gain": Layout(rdm.GainRefModel, {"data": 2}, _DETECTOR),
    "readnoise": Layout(rdm.ReadnoiseRefModel, {"data": 2}, _DETECTOR),
    "dark": Layout(rdm.DarkRefModel, {"dark_slope": 2, "dark_slope_error": 2, "dq": 2}, _DETECTOR),
    "flat": Layout(rdm.FlatRefModel, {"data": 2, "err": 2, "dq": 2}, _ACTIVE),
    "area": Layout(rdm.PixelareaRefModel, {"data": 2}, _ACTIVE),
    "refpix": Layout(rdm.RefpixRefModel, {"gamma": 2, "zeta": 2, "alpha": 2}),
    "ipc": Layout(rdm.IpcRefModel, {"data": 2}),
    "epsf": Layout(rdm.EpsfRefModel, {"psf": 5}),
    "integralnonlinearity": Layout(
        rdm.IntegralnonlinearityRefModel, {"value": 1}, table="inl_table"
    ),
    "photom": Layout(rdm.WfiImgPhotomRefModel, table="phot_table"),
    "apcorr": Layout(rdm.ApcorrRefModel, table="data"),
    "distortion": Layout(rdm.DistortionRefModel),
    "darkdecaysignal": Layout(rdm.DarkdecaysignalRefModel, table="decay_table", of_instrument=True),
    "detectorstatus": Layout(rdm.DetectorstatusRefModel, table="status_info", of_instrument=True),
    "matable": Layout(rdm.MATableRefModel, table="science_tables", of_instrument=True),
    "skycells": Layout(
        rdm.SkycellsRefModel, {"projection_regions": 1, "skycells": 1}, of_instrument=True
    ),
}

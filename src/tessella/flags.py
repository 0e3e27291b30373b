"""Data-quality bits as one table: name, value, meaning, and whether resultants carry it too.

Values are those of `roman_datamodels.dqflags` (a test compares them).
"""

from typing import NamedTuple


class Flag(NamedTuple):
    """One bit of a data-quality array."""

    #: Official name.
    name: str
    #: The bit's number; its value is ``2**bit``.
    bit: int
    #: What a pixel with this bit has suffered.
    meaning: str
    #: True where the bit is used for single resultants (8-bit arrays) as well.
    in_resultants: bool = False


FLAGS = (
    Flag("DO_NOT_USE", 0, "unusable; the one bit that later stages test", True),
    Flag("SATURATED", 1, "saturated during the exposure", True),
    Flag("JUMP_DET", 2, "a cosmic ray hit the ramp", True),
    Flag("DROPOUT", 3, "data lost in transmission", True),
    Flag("GW_AFFECTED_DATA", 4, "read with the guide window"),
    Flag("PERSISTENCE", 5, "high persistence"),
    Flag("AD_FLOOR", 6, "at or below 0 DN", True),
    Flag("OUTLIER", 7, "disagrees with the other exposures of its place"),
    Flag("UNRELIABLE_ERROR", 8, "the uncertainty may be wrong"),
    Flag("NON_SCIENCE", 9, "outside the science area"),
    Flag("DEAD", 10, "does not respond to light"),
    Flag("HOT", 11, "high dark current"),
    Flag("WARM", 12, "raised dark current"),
    Flag("LOW_QE", 13, "low quantum efficiency"),
    Flag("TELEGRAPH", 15, "random telegraph noise"),
    Flag("NONLINEAR", 16, "strongly nonlinear"),
    Flag("BAD_REF_PIXEL", 17, "a reference pixel that must not be used"),
    Flag("NO_FLAT_FIELD", 18, "no valid flat field"),
    Flag("NO_GAIN_VALUE", 19, "no valid gain"),
    Flag("NO_LIN_CORR", 20, "no valid linearity correction"),
    Flag("NO_SAT_CHECK", 21, "no valid saturation threshold"),
    Flag("UNRELIABLE_BIAS", 22, "the bias is uncertain"),
    Flag("UNRELIABLE_DARK", 23, "the dark current is uncertain"),
    Flag("UNRELIABLE_SLOPE", 24, "the slope is uncertain"),
    Flag("UNRELIABLE_FLAT", 25, "the flat field is uncertain"),
    Flag("UNRELIABLE_RESET", 28, "sensitive to the reset anomaly"),
    Flag("OTHER_BAD_PIXEL", 30, "bad for another reason"),
    Flag("REFERENCE_PIXEL", 31, "a reference pixel"),
)

GOOD = 0
_VALUES = {flag.name: 1 << flag.bit for flag in FLAGS}
#: What bit 7 means in the flags of resultants: the first one of WFI18 with its transient.
WFI18_TRANSIENT = _VALUES["WFI18_TRANSIENT"] = 1 << 7

DO_NOT_USE = _VALUES["DO_NOT_USE"]
SATURATED = _VALUES["SATURATED"]
JUMP_DET = _VALUES["JUMP_DET"]
DROPOUT = _VALUES["DROPOUT"]
GW_AFFECTED_DATA = _VALUES["GW_AFFECTED_DATA"]
PERSISTENCE = _VALUES["PERSISTENCE"]
AD_FLOOR = _VALUES["AD_FLOOR"]
OUTLIER = _VALUES["OUTLIER"]
DEAD = _VALUES["DEAD"]
HOT = _VALUES["HOT"]
TELEGRAPH = _VALUES["TELEGRAPH"]
BAD_REF_PIXEL = _VALUES["BAD_REF_PIXEL"]
NO_FLAT_FIELD = _VALUES["NO_FLAT_FIELD"]
NO_GAIN_VALUE = _VALUES["NO_GAIN_VALUE"]
NO_LIN_CORR = _VALUES["NO_LIN_CORR"]
NO_SAT_CHECK = _VALUES["NO_SAT_CHECK"]
REFERENCE_PIXEL = _VALUES["REFERENCE_PIXEL"]


def value(name: str) -> int:
    """Return the value of the flag called `name`.

    Raises
    ------
    KeyError
        If there is no flag of this name.

    Examples
    --------
    >>> value("SATURATED")
    2
    """
    return _VALUES[name]


def names(dq: int) -> list[str]:
    """List the names of the bits that are set in `dq`.

    Examples
    --------
    >>> names(6)
    ['SATURATED', 'JUMP_DET']
    """
    return [flag.name for flag in FLAGS if int(dq) & (1 << flag.bit)]

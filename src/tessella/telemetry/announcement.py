"""What housekeeping and attitude say of an exposure, and what of it can be believed."""

from collections.abc import Mapping
from dataclasses import dataclass

from tessella.instrument.read_patterns import ReadPattern, read_patterns
from tessella.models import ExposureHeader, Window
from tessella.telemetry.records import DetectorSetup


@dataclass(frozen=True)
class Announcement:
    """What housekeeping and attitude say of one exposure."""

    #: ``ra_v1``, ``dec_v1`` and ``pa_v3`` are NaN where no attitude was received; None where no
    #: record of the exposure was.
    header: ExposureHeader | None
    #: By the names of the detectors, as their records say it.
    detectors: dict[str, DetectorSetup]

    @property
    def pattern(self) -> ReadPattern | None:
        """The MA table of the exposure; None where it is not known."""
        return None if self.header is None else read_patterns().get(self.header.ma_table_number)

    def sound(self, windows: Mapping[str, Window] | None = None) -> dict[str, DetectorSetup]:
        """Return the detectors whose record agrees with the MA table.

        Parameters
        ----------
        windows : mapping of str to Window, optional
            Only those of these detectors; absent: all.

        Examples
        --------
        >>> announced = Announcement(None, {"WFI01": DetectorSetup(Window(), 5, 4000)})
        >>> list(announced.sound()), list(announced.sound({"WFI02": Window()}))
        (['WFI01'], [])
        """
        pattern = self.pattern
        return {
            detector: setup
            for detector, setup in self.detectors.items()
            if setup.n_resultants > 0
            and (pattern is None or setup.n_resultants <= len(pattern.reads))
            and (windows is None or detector in windows)
        }

    def lost(self, windows: Mapping[str, Window] | None) -> dict[str, DetectorSetup]:
        """Return the detectors of `windows` that have no such record, as they were planned.

        Their encoding offset, which is not known, is 0; an exposure that ended early did so in all
        detectors. Without an MA table there are none.

        Examples
        --------
        >>> Announcement(None, {}).lost({"WFI02": Window()})
        {}
        """
        pattern, sound = self.pattern, self.sound()
        if pattern is None or windows is None:
            return {}
        n_announced = [setup.n_resultants for setup in sound.values()]
        n_resultants = max(n_announced, default=len(pattern.reads))
        return {
            detector: DetectorSetup(window, n_resultants, 0)
            for detector, window in windows.items()
            if detector not in sound
        }

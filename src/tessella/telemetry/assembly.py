"""One exposure from its packets: pixels, rows, times and records, a detector at a time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from tessella.models import GuideWindow, Readout, Window
from tessella.telemetry.announcement import Announcement
from tessella.telemetry.cells import Cells
from tessella.telemetry.clock import seconds_since_epoch
from tessella.telemetry.completeness import share
from tessella.telemetry.fates import Fate
from tessella.telemetry.index import PacketIndex
from tessella.telemetry.inventory import is_record
from tessella.telemetry.layout import amp33_window, grid_of, guide_grid
from tessella.telemetry.ledger import Rows
from tessella.telemetry.packets import (
    AMP33,
    ATTITUDE,
    GUIDE,
    HOUSEKEEPING,
    REFERENCE_READ,
    SCIENCE,
    detector_name,
    sca_number,
)
from tessella.telemetry.place import Placed, Target, place
from tessella.telemetry.records import DetectorSetup
from tessella.telemetry.times import jumped


@dataclass(frozen=True)
class Received:
    """Which pixels of a readout arrived; the arrays have the shapes of the readout's, bool."""

    data: np.ndarray
    amp33: np.ndarray
    reference_read: np.ndarray
    reference_amp33: np.ndarray
    #: (n_cycles,): the guide window arrived.
    guide: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))


@dataclass(frozen=True)
class Part:
    """One detector of an exposure as far as it arrived, not yet spread over whole planes."""

    detector: str
    window: Window
    encoding_offset: int
    #: Resultants; what did not arrive is the encoding offset.
    data: Cells
    amp33: Cells
    #: One plane each; what did not arrive is 0.
    reference_read: Cells
    reference_amp33: Cells
    #: Cycles of the guide window, where it is in the frame; None where there is none.
    guide: Cells | None

    @property
    def guide_window(self) -> GuideWindow | None:
        """The guide window with the pixels of all its cycles."""
        if self.guide is None:
            return None
        return GuideWindow(self.guide.grid.x, self.guide.grid.y, self.guide.planes())

    @property
    def guided(self) -> np.ndarray:
        """(n_cycles,) bool: the guide window arrived."""
        return np.zeros(0, bool) if self.guide is None else self.guide.arrived[:, 0]

    def readout(self) -> Readout:
        """Return all pixels as whole planes."""
        return Readout(
            self.detector,
            self.window,
            self.data.planes(),
            self.amp33.planes(),
            self.reference_read.plane(0),
            self.reference_amp33.plane(0),
            self.encoding_offset,
            self.guide_window,
        )

    def received(self) -> Received:
        """Tell which pixels of the readout arrived."""
        return Received(
            self.data.all_received(),
            self.amp33.all_received(),
            self.reference_read.received(0),
            self.reference_amp33.received(0),
            self.guided,
        )


#: What notes call packets of a kind, after the name of their detector.
_KINDS = {
    SCIENCE: "",
    AMP33: " reference output",
    GUIDE: " guide window",
    ATTITUDE: "attitude",
    HOUSEKEEPING: "housekeeping",
}


class Assembly:
    """One exposure, put together a detector at a time."""

    def __init__(
        self,
        index: PacketIndex,
        fate: np.ndarray,
        announced: Announcement,
        windows: Mapping[str, Window] | None,
    ) -> None:
        self._index = index
        #: Of all packets of the index; what becomes of its own is noted there.
        self._fate = fate
        assert announced.header is not None
        self.header = announced.header
        #: Of detectors whose record agrees with the MA table, those asked for.
        self.setups = announced.sound(windows)
        #: Of detectors asked for that have no such record.
        self.lost = announced.lost(windows)
        self.rows: list[Rows] = []
        self.conflicting = 0
        self._n_pixels = 0
        self._pattern = announced.pattern
        #: Packets of pixels whose time was checked, and packets whose time was wrong.
        self._n_checked = self._n_jumped = 0
        self._notes: list[str] = []
        packets = np.flatnonzero(index.belongs_to(self.header.key))
        apid = index.apid[packets]
        self._packets = packets[np.argsort(apid, kind="stable")]
        self._apid = np.sort(apid)
        self._judge_records()
        if windows is not None:
            self._leave_out(windows)

    @property
    def completeness(self) -> float:
        """Return the share of the pixels that arrived; all detectors must have been read."""
        return share(self._n_pixels, (self.setups | self.lost).values())

    @property
    def clock_is_sound(self) -> bool:
        """Tell whether times were checked and right; all detectors must have been read."""
        return self._n_checked > 0 and not self._n_jumped

    @property
    def version(self) -> str:
        """Return what tells the packets that were used; all detectors must have been read.

        It is the same in whatever order, how often and in which files these came.
        """
        used = self._packets[self._fate[self._packets] == Fate.USED]
        return f"{self._index.fingerprint(used):016x}"

    @property
    def problems(self) -> tuple[str, ...]:
        """Say in words what is wrong besides missing rows; all detectors must have been read."""
        problems = []
        if np.isnan(self.header.ra_v1):
            problems.append("no attitude was received")
        if self.conflicting:
            problems.append(f"{self.conflicting} packets were contradicted by later ones")
        if not self._n_checked:
            unknown = f"MA table {self.header.ma_table_number} is not known"
            reason = "no packet of pixels was used" if self._pattern else unknown
            problems.append(f"the clock was not checked: {reason}")
        return (*problems, *self._notes)

    def detectors(self) -> Iterator["Part"]:
        """Decode one detector after the other; each takes the memory of what arrived of it."""
        for detector, setup in sorted((self.setups | self.lost).items()):
            yield self._detector(detector, setup)

    def _detector(self, detector: str, setup: DetectorSetup) -> "Part":
        window, offset, n = setup.window, setup.encoding_offset, setup.n_resultants
        science = self._place(SCIENCE, detector, Target(grid_of(window), n, True, offset))
        amp33 = Target(grid_of(amp33_window(window)), n, True, offset)
        reference = self._place(AMP33, detector, amp33)
        self._n_pixels += science.cells.n_pixels + reference.cells.n_pixels
        guide: Cells | None = None
        if setup.guide is not None:
            n_cycles = len(setup.guide.pixels)
            target = Target(guide_grid(setup.guide), n_cycles, False, offset)
            guide = self._place(GUIDE, detector, target).cells
        part = Part(
            detector,
            window,
            offset,
            data=science.cells.part(0, n, offset),
            amp33=reference.cells.part(0, n, offset),
            # What was measured has no offset.
            reference_read=science.cells.part(n, n + 1, 0),
            reference_amp33=reference.cells.part(n, n + 1, 0),
            guide=guide,
        )
        if detector in self.lost:
            self._notes.append(
                f"{detector}: no sound housekeeping was received; its pixels are lost"
            )
        else:
            self._notes += _notes(part)
        return part

    def _of(self, apid: int) -> np.ndarray:
        """Return the packets of one kind, in the order in which they were received."""
        return self._packets[slice(*np.searchsorted(self._apid, (apid, apid + 1)))]

    def _place(self, base_apid: int, detector: str, target: Target) -> Placed:
        index = self._index
        apid = base_apid + sca_number(detector)
        packets = self._of(apid)
        if detector in self.lost:
            packets = packets[:0]
        placed = place(index, packets, target)
        self._fate[packets] = placed.fate
        self.conflicting += placed.conflicting
        for plane, numbers in enumerate(placed.rows.tolist()):
            resultant = REFERENCE_READ if plane == target.n_resultants else plane
            self.rows.append(Rows(self.header.key, apid, resultant, *numbers))
        self._check_clock(packets[placed.fate == Fate.USED], base_apid, detector)
        return placed

    def _check_clock(self, packets: np.ndarray, kind: int, name: str) -> None:
        """Note packets that do not have the time at which they were sent."""
        if self._pattern is None:
            return
        headers = self._index.header[packets]
        start = seconds_since_epoch(self.header.start_time)
        n_jumped = int(np.count_nonzero(jumped(headers, kind, self._pattern, start)))
        self._n_checked += len(packets) * (kind < ATTITUDE)
        self._n_jumped += n_jumped
        if n_jumped:
            self._notes.append(f"{name}{_KINDS[kind]}: the clock jumped in {n_jumped} packets")

    def _leave_out(self, windows: Mapping[str, Window]) -> None:
        """Reject the pixels of detectors that are not asked for."""
        numbers = [sca_number(detector) for detector in windows]
        header, apid = self._index.header[self._packets], self._apid
        of_pixels = (apid > SCIENCE) & (apid < ATTITUDE)
        gone = of_pixels & ~np.isin(header["sca"], numbers)
        self._fate[self._packets[gone]] = Fate.NOT_ASKED

    def _judge_records(self) -> None:
        """Decide about housekeeping and attitude: of repetitions the one received last counts.

        Of samples that contradict each other the first counts, as `announcements` has it.
        """
        index, fate = self._index, self._fate
        sound = [i for apid in (HOUSEKEEPING, ATTITUDE) for i in self._of(apid).tolist()]
        fate[self._packets] = Fate.UNANNOUNCED
        fate[sound] = Fate.MISFIT
        last: dict[tuple[int, int, int], int] = {}
        sound = [i for i in sound if is_record(index, i)]
        for i in sound:
            head = index.header[i]
            last[int(index.apid[i]), int(head["resultant"]), int(head["sca"])] = i
        fate[sound] = Fate.DUPLICATE
        fate[list(last.values())] = Fate.USED
        for i in set(sound) - set(last.values()):
            head = index.header[i]
            winner = last[int(index.apid[i]), int(head["resultant"]), int(head["sca"])]
            self.conflicting += index.payload(i) != index.payload(winner)
        first: dict[tuple[int, int], int] = {}
        contradicted = set()
        for (apid, _, sca), i in sorted(last.items()):
            if index.payload(first.setdefault((apid, sca), i)) != index.payload(i):
                contradicted.add((apid, sca))
        for apid, sca in sorted(contradicted):
            of = f" of {detector_name(sca)}" if sca else ""
            self._notes.append(
                f"{_KINDS[apid]}{of}: its samples contradict each other; the first counts"
            )
        for apid in (HOUSEKEEPING, ATTITUDE):
            used = np.array(sorted(i for key, i in last.items() if key[0] == apid), int)
            self._check_clock(used, apid, "")


def _notes(part: Part) -> list[str]:
    """Say in words what is wrong with a detector besides missing rows."""
    detector, notes = part.detector, []
    there = part.data.arrived.any()
    lost = part.reference_read.broken_rows
    if not there:
        notes.append(f"{detector}: no pixels were received")
    elif lost:
        notes.append(f"{detector}: rows of the reference read missing: {lost}")
    lost = part.amp33.broken_rows + part.reference_amp33.broken_rows
    if there and lost:
        notes.append(f"{detector}: rows of the reference output missing: {lost}")
    if part.guide is not None and not part.guide.arrived.all():
        n_lost = np.count_nonzero(~part.guide.arrived)
        notes.append(f"{detector}: guide windows missing: {n_lost}")
    return notes

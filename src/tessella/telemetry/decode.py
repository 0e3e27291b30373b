"""From packets to the pixels of each exposure, and the ledger of what became of each packet.

Packets are placed by what their payload header says (exposure, detector, resultant, rows and
columns), never by their sequence counts, so that their order, repetitions and division into
files do not matter. Of two packets for the same place the one received later counts.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tessella.errors import DataError
from tessella.models import ExposureHeader, ExposureKey, Readout, Window
from tessella.telemetry.assembly import Assembly, Received
from tessella.telemetry.fates import Fate
from tessella.telemetry.index import PacketIndex, Stream, index_packets
from tessella.telemetry.inventory import announcements
from tessella.telemetry.ledger import File, Ledger


@dataclass(frozen=True)
class DecodedExposure:
    """One exposure as far as it was received."""

    header: ExposureHeader
    #: By detector; pixels that did not arrive hold the encoding offset, 0 in reference reads.
    readouts: dict[str, Readout]
    received: dict[str, Received]
    #: What a user of the exposure must know, in words.
    problems: tuple[str, ...] = ()
    #: False where the clock of the spacecraft jumped, or was not checked.
    clock_is_sound: bool = True


class Reception:
    """The packets of some streams, and what became of them as far as exposures are decoded."""

    def __init__(self, index: PacketIndex, windows: Mapping[str, Window] | None = None) -> None:
        self.index = index
        #: (n,) of `Fate`
        self.fate = np.full(len(index), Fate.UNANNOUNCED)
        #: Exposures whose housekeeping arrived, sorted by key.
        self.exposures = {
            key: Assembly(index, self.fate, announced, windows)
            for key, announced in announcements(index).items()
        }

    def exposure(self, name: str) -> "Assembly":
        """Return the only exposure, of streams that are called `name`.

        Raises
        ------
        DataError
            If its housekeeping did not arrive.
        """
        if len(self.exposures) != 1:
            raise DataError(
                f"{name}: housekeeping of {len(self.exposures)} exposures found, expected that of "
                "one; without it an exposure cannot be decoded: wait for the file that holds it"
            )
        return next(iter(self.exposures.values()))

    def ledger(self) -> Ledger:
        """Return what became of all packets; every exposure must have been decoded."""
        index, exposures = self.index, self.exposures.values()
        files = zip(map(len, index.streams), index.received, index.left_out, strict=True)
        return Ledger(
            index.ranges(self.fate),
            tuple(rows for exposure in exposures for rows in exposure.rows),
            tuple(File(f"stream {i}", *numbers) for i, numbers in enumerate(files)),
            sum(exposure.conflicting for exposure in exposures),
            {key.name: exposure.version for key, exposure in self.exposures.items()},
        )


def receive(
    streams: Iterable[Stream],
    only: ExposureKey | None = None,
    windows: Mapping[str, Window] | None = None,
    parts: Sequence[Sequence[tuple[int, int]]] | None = None,
) -> Reception:
    """Find the packets of some streams and the exposures that they announce.

    Parameters
    ----------
    streams : iterable of bytes or mmap
        In the order in which the ground received them: this decides between packets that
        contradict each other, and nothing else.
    only : ExposureKey, optional
        Leave out, also of the ledger, the packets of other exposures; absent: decode all.
    windows : mapping of str to Window, optional
        The detectors to decode, with their windows: one without sound housekeeping is all missing.
        Pixels of others are rejected. Absent: decode the detectors that are announced.
    parts : sequence of sequences of (int, int), optional
        By stream: the octets that hold packets of `only` (`stretches`). Absent: all are read.

    Examples
    --------
    >>> list(receive([b"noise"]).exposures)
    []
    """
    return Reception(index_packets(streams, only, parts), windows)


def decode(
    streams: Iterable[Stream], only: ExposureKey | None = None
) -> tuple[dict[ExposureKey, DecodedExposure], Ledger]:
    """Put together whole exposures in memory; see `receive`, whose exposures come in parts.

    Returns
    -------
    exposures : dict of ExposureKey to DecodedExposure
        Those whose housekeeping arrived, sorted by key.
    ledger : Ledger
        Of all packets and fragments of the streams, but for those left out.

    Examples
    --------
    >>> exposures, ledger = decode([b"noise"])
    >>> len(exposures), ledger.counts.rejected
    (0, {'no header': 1})
    """
    reception = receive(streams, only)
    exposures = {}
    for key, assembly in reception.exposures.items():
        parts = list(assembly.detectors())
        exposures[key] = DecodedExposure(
            assembly.header,
            {part.detector: part.readout() for part in parts},
            {part.detector: part.received() for part in parts},
            assembly.problems,
            assembly.clock_is_sound,
        )
    return exposures, reception.ledger()

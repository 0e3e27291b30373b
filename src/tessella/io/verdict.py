"""What became of each detector of an exposure, as a small file that says it at a glance."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tessella.errors import DataError
from tessella.io.atomic import replacing
from tessella.io.seals import sha256


@dataclass(frozen=True)
class Verdict:
    """Outcome of one detector."""

    detector: str
    #: ``ok``, ``degraded`` or ``failed``.
    outcome: str
    reason: str
    file: str
    sha256: str


def write_verdict(
    path: str | Path,
    verdicts: Sequence[Verdict],
    minimum_detectors: int,
    provenance: Mapping[str, Any],
) -> None:
    """Write the verdicts of an exposure.

    Raises
    ------
    DataError
        If fewer detectors than `minimum_detectors` could be calibrated.
    """
    usable = sum(verdict.outcome != "failed" for verdict in verdicts)
    if usable < minimum_detectors:
        reasons = "; ".join(f"{v.detector}: {v.reason}" for v in verdicts if v.outcome == "failed")
        raise DataError(
            f"{usable} detectors calibrated, minimum_detectors is {minimum_detectors}: {reasons}"
        )
    counts = Counter(verdict.outcome for verdict in verdicts)
    content = {"counts": dict(counts), "detectors": [asdict(verdict) for verdict in verdicts]}
    with replacing(path, provenance) as part:
        part.write_text(json.dumps(content, indent=1) + "\n")


def read_verdict(path: str | Path) -> list[dict[str, str]]:
    """Read the verdicts of an exposure, one dictionary a detector, as `Verdict` has them."""
    sha256(path)
    return list(json.loads(Path(path).read_text())["detectors"])

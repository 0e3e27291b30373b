"""What the steps of the exposure pipeline are given."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from tessella.models import Border, Ramp, Reference

References = Mapping[str, Reference]


@dataclass(frozen=True)
class Frame:
    """What a step sees that measures something of the whole detector."""

    #: As it was stored.
    ramp: Ramp
    border: Border
    #: All of the detector, in blocks of rows from the first one on, as the steps before leave it.
    blocks: Callable[[], Iterator[Ramp]] = field(default=lambda: iter(()))
    #: Of no influence on what is measured.
    n_threads: int = 1

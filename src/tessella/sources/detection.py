"""What detection hands to measurements: segments on the image of all bands together."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from tessella.models import Lattice


@dataclass(frozen=True)
class Detection:
    """Sources on the detection image of one lattice, (ny, nx)."""

    lattice: Lattice
    #: int32; 0 is sky.
    segmentation: np.ndarray
    #: Matched-filter signal in units of its standard deviation on sky; NaN without coverage.
    snr: np.ndarray
    #: Standard deviation of `snr` with the photon noise of sources; 1 on empty sky.
    noise: np.ndarray
    #: (2 n + 1, 2 n + 1): correlation of the noise of two pixels of `snr` by their offset.
    noise_correlation: np.ndarray

    @cached_property
    def labels(self) -> np.ndarray:
        """Labels in ascending order, (n,) int32."""
        if not self.segmentation.size:
            return np.zeros(0, dtype=np.int32)
        return np.flatnonzero(np.bincount(self.segmentation[self.segmentation > 0])).astype(
            np.int32
        )

"""The table of the skies of a region and filter: what to subtract from each image.

One row an image: ``image`` (stem of its files), ``level`` [MJy / sr], ``slope_x``, ``slope_y``
[MJy / sr / pixel of the image, from its centre], ``n_blocks`` (shared with others), ``component``
(images that overlap, directly or through others) and ``sky_variance`` [(MJy / sr)^2], the median
variance of its good pixels, NaN where it has none.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from astropy.table import Table

from tessella.coadd.sky_blocks import SkyBlocks
from tessella.coadd.sky_levels import Skies
from tessella.errors import DataError
from tessella.io.atomic import replacing
from tessella.io.seals import sha256

_UNITS = {
    "level": "MJy / sr",
    "slope_x": "MJy / (sr pix)",
    "slope_y": "MJy / (sr pix)",
    "sky_variance": "MJy2 / sr2",
}
_FIELDS = ("level", "slope_x", "slope_y", "n_blocks", "component", "sky_variance")


@dataclass(frozen=True)
class Sky:
    """The sky of one image."""

    level: float
    slope_x: float
    slope_y: float
    #: NaN where the image has no good pixel.
    sky_variance: float

    @property
    def weight(self) -> float:
        """Inverse variance of the empty sky, for all good pixels alike; 0 where there are none.

        A weight that follows the light of a pixel is lower in the cores of stars and makes their
        fluxes too low.
        """
        return 1 / self.sky_variance if self.sky_variance > 0 else 0.0


def write_skies(
    path: str | Path,
    names: Sequence[str],
    skies: Skies,
    measured: Sequence[SkyBlocks],
    provenance: Mapping[str, Any],
) -> None:
    """Write the skies of images, in the order given."""
    variance = np.array([item.variance for item in measured], float)
    columns = {"image": np.array(names, dtype=str), **vars(skies), "sky_variance": variance}
    table = Table({name: columns[name] for name in ("image", *_FIELDS)})
    for name, unit in _UNITS.items():
        table[name].unit = unit
    with replacing(path, provenance) as part:
        table.write(part, format="ascii.ecsv")


def read_skies(path: str | Path) -> dict[str, Sky]:
    """Read the skies of images by the stem of their files.

    Raises
    ------
    DataError
        If there is no such file, or it is no table of skies.
    """
    sha256(path)
    try:
        table = Table.read(path, format="ascii.ecsv")
        kept: dict[str, np.ndarray] = {
            name: np.ma.filled(np.ma.asarray(table[name]).astype(float), np.nan) for name in _FIELDS
        }
        return {
            str(name): Sky(*(float(kept[key][k]) for key in Sky.__dataclass_fields__))
            for k, name in enumerate(table["image"])
        }
    except (OSError, KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{path}: no readable table of skies ({reason}); make it again") from error

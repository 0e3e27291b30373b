"""The images of a coadd, as its tables of their metadata tell them."""

from dataclasses import dataclass
from pathlib import Path

from tessella.coadd.views import View
from tessella.errors import DataError
from tessella.io.asdf_files import open_roman, plain
from tessella.io.exposure_meta import read_attitude
from tessella.models import Attitude, Window

_TABLES = ("wcsinfo", "velocity_aberration", "instrument", "exposure")


@dataclass(frozen=True)
class CoaddMembers:
    """The images of a coadd, in the order of the bits of its context."""

    detectors: tuple[str, ...]
    attitudes: tuple[Attitude, ...]
    #: What each counts; 1 where the file does not say it.
    weights: tuple[float, ...]
    #: Of the first of them.
    ma_table_number: int
    #: Side of the drop over the side of the pixel.
    pixfrac: float

    def views(self) -> list[View]:
        """Return how each image sees the sky."""
        # ASSUME: whole detectors; where the image is smaller, its own PSF is that of its middle.
        return [
            View(detector, Window(), attitude, weight)
            for detector, attitude, weight in zip(
                self.detectors, self.attitudes, self.weights, strict=True
            )
        ]


def read_members(path: str | Path) -> CoaddMembers:
    """Read which images a coadd is made of.

    Raises
    ------
    DataError
        If the file has no tables of its images' metadata, or they lack a keyword.
    """
    with open_roman(path, with_arrays=False) as roman:
        meta = roman["meta"]
        tables = meta.get("individual_image_meta") or {}
        try:
            rows = {name: tables[name] for name in _TABLES}
            attitudes = tuple(
                read_attitude(
                    {
                        name: {key: rows[name][key][k] for key in rows[name].colnames}
                        for name in _TABLES[:2]
                    }
                )
                for k in range(len(rows["wcsinfo"]))
            )
            detectors = tuple(str(name) for name in rows["instrument"]["detector"])
            number = int(rows["exposure"]["ma_table_number"][0])
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise DataError(
                f"{path}: meta.individual_image_meta does not tell where its images point "
                f"({error}); expected the tables {', '.join(_TABLES)}"
            ) from error
        own = plain(meta.get("tessella") or {}).get("inputs") or []
        weights = tuple(float(item.get("weight", 1.0)) for item in own)
        if len(weights) != len(detectors):
            weights = (1.0,) * len(detectors)
        return CoaddMembers(
            detectors, attitudes, weights, number, float(meta["resample"]["pixfrac"])
        )

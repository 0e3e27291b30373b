"""Images of a patch, made ready for the search for outliers."""

from collections.abc import Callable, Sequence
from pathlib import Path

from tessella.coadd.outlier_search import SearchInput
from tessella.errors import DataError
from tessella.io.level2_pixels import Pixels, Rows
from tessella.io.placed_inputs import PlacedInput


def placed_of(
    images: Sequence[Path], digests: Sequence[str], known: Sequence[PlacedInput], table: Path
) -> list[PlacedInput]:
    """Return what is known of images of a patch.

    Parameters
    ----------
    images, digests : sequence of path, sequence of str
        Files and their SHA-256.
    known : sequence of PlacedInput
        Of the images of the region.
    table : path
        Where that is from.

    Raises
    ------
    DataError
        If an image is not known, or there twice: it is named.
    """
    by_digest = {item.image_sha256: item for item in known}
    found: dict[str, PlacedInput] = {}
    for image, digest in zip(images, digests, strict=True):
        if digest not in by_digest:
            raise DataError(
                f"{table}: no image like {image}, as it is now; make the table again with all "
                "images"
            )
        if digest in found:
            raise DataError(f"{image}: {by_digest[digest].name} is there twice; give it once")
        found[digest] = by_digest[digest]
    return list(found.values())


def search_input(
    path: Path, placed: PlacedInput, opened: Callable[[Path, float], Pixels]
) -> SearchInput:
    """Make an image ready for the search.

    Parameters
    ----------
    path : path
        Of an image that a rank of this job has held against its seal.
    placed : PlacedInput
    opened : callable
        Of `tessella.io.level2_pixels.kept_open`.
    """

    def read(first: int, stop: int) -> Rows:
        return opened(path, placed.conversion).rows(first, stop)

    def forget() -> None:
        opened(path, placed.conversion).forget()

    return SearchInput(placed.places, read, forget, placed.level, placed.slope_x, placed.slope_y)

"""A picture of what changed between two runs: fluxes by magnitude, and a coadd."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import SymLogNorm
from matplotlib.ticker import StrMethodFormatter

from tessella.io.atomic import replacing

# No display: the figure goes into a file.
matplotlib.use("Agg")

#: Size of a panel [inch], and most blocks of pixels along an image in it.
_PANEL = 4.2
_BLOCKS = 400
#: Changes are drawn to scale up to this one, by their logarithm beyond [errors].
_LINEAR = 0.1


def write_changes(
    path: str | Path,
    fluxes: Mapping[str, tuple[np.ndarray, np.ndarray]],
    image: np.ndarray | None,
    title: str,
) -> None:
    """Draw changes of flux against magnitude, a panel a band, and the change of an image.

    Parameters
    ----------
    path : path
        PNG file.
    fluxes : mapping
        Band to AB magnitude and change of flux [errors], (n,) each.
    image : (ny, nx) array, optional
        Change [errors]; NaN is drawn grey. Of each block of pixels the largest one is drawn.
    title : str
        Of the image.

    Raises
    ------
    DataError
        If the file cannot be written.
    """
    n_panels = len(fluxes) + (image is not None)
    figure, axes = plt.subplots(
        1, n_panels, figsize=(_PANEL * n_panels, _PANEL), squeeze=False, layout="constrained"
    )
    try:
        for axis, (band, (magnitude, change)) in zip(axes[0], fluxes.items(), strict=False):
            _draw_fluxes(axis, band, magnitude, change)
        if image is not None:
            _draw_image(axes[0, -1], image, title)
        with replacing(path, None) as part:
            figure.savefig(part, format="png", dpi=130, metadata={"Software": None})
    finally:
        plt.close(figure)


def _draw_fluxes(axis: Axes, band: str, magnitude: np.ndarray, change: np.ndarray) -> None:
    axis.axhline(0.0, color="#8a8f98", linewidth=0.8)
    axis.plot(magnitude, change, ".", color="#1f6feb", markersize=4, alpha=0.7)
    largest = _largest(change)
    axis.set_yscale("symlog", linthresh=_LINEAR)
    axis.set_ylim(-1.5 * largest, 1.5 * largest)
    axis.yaxis.set_major_formatter("{x:g}")
    axis.set_title(f"{band}: {np.count_nonzero(change)} of {len(change)} changed", fontsize=9)
    axis.set_xlabel(f"Kron magnitude {band} in A [AB]")
    axis.set_ylabel("B - A [errors of A]")


def _draw_image(axis: Axes, image: np.ndarray, title: str) -> None:
    blocks = largest_of_blocks(image, -(-max(image.shape) // _BLOCKS))
    largest = _largest(blocks)
    colours = matplotlib.colormaps["RdBu_r"].with_extremes(bad="#b0b4ba")
    extent = (-0.5, image.shape[1] - 0.5, -0.5, image.shape[0] - 0.5)
    drawn = axis.imshow(
        blocks,
        origin="lower",
        cmap=colours,
        norm=SymLogNorm(_LINEAR, vmin=-largest, vmax=largest),
        extent=extent,
        interpolation="nearest",
    )
    axis.set_title(title, fontsize=7)
    axis.set_xlabel("x [pixel]")
    axis.set_ylabel("y [pixel]")
    bar = axis.figure.colorbar(drawn, ax=axis, label="B - A [errors of A]", shrink=0.8)
    bar.formatter = StrMethodFormatter("{x:g}")


def _largest(change: np.ndarray) -> float:
    """Return the largest change that there is, and at least one error."""
    return max(1.0, float(np.nanmax(np.abs(change), initial=0.0)))


def largest_of_blocks(image: np.ndarray, size: int) -> np.ndarray:
    """Return the value farthest from zero of each block of pixels; NaN where there is none.

    Parameters
    ----------
    image : (ny, nx) array
    size : int
        Pixels along a block; those at the far edges may be smaller.

    Examples
    --------
    >>> largest_of_blocks(np.array([[1.0, -3.0, np.nan], [0.0, 2.0, np.nan]]), 2).tolist()
    [[-3.0, nan]]
    """
    ny, nx = (-(-n // size) for n in image.shape)
    padded = np.full((ny * size, nx * size), np.nan)
    padded[: image.shape[0], : image.shape[1]] = image
    blocks = padded.reshape(ny, size, nx, size).swapaxes(1, 2).reshape(ny, nx, -1)
    known = np.nan_to_num(np.abs(blocks), nan=-1.0)
    return np.take_along_axis(blocks, known.argmax(axis=-1)[..., None], axis=-1)[..., 0]

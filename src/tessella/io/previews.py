"""Pictures of coadds: a preview, a thumbnail, and maps of what it is made of."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from tessella.compiled import kernel
from tessella.io.atomic import replacing
from tessella.models import Mosaic

#: Longest side [pixels].
_PREVIEW, _THUMBNAIL, _MAP = 1080, 300, 500


def write_previews(
    preview: Path, thumbnail: Path, maps: Path, mosaic: Mosaic, provenance: Mapping[str, Any]
) -> None:
    """Write the pictures of a coadd: north is up, east to the right, as its pixels go.

    Parameters
    ----------
    preview, thumbnail : path
        PNG of the sky, brightness as the inverse hyperbolic sine of the significance.
    maps : path
        PNG of coverage, exposure time, depth and sky.
    mosaic : Mosaic
    provenance : mapping
    """
    for path, side in ((preview, _PREVIEW), (thumbnail, _THUMBNAIL)):
        write_picture(path, mosaic.data, provenance, side)
    _write_maps(maps, mosaic, provenance)


def binned(values: np.ndarray, side: int) -> np.ndarray:
    """Return means of squares of pixels, so that no side is longer than `side`.

    NaN does not count; squares without a number are NaN.

    Examples
    --------
    >>> binned(np.array([[1.0, 3.0], [np.nan, 2.0]]), 1).tolist()
    [[2.0]]
    """
    step = -(-max(values.shape) // side)
    ny, nx = (-(-n // step) for n in values.shape)
    out = np.empty((ny, nx))
    _fill_means(values, step, out)
    return out


@kernel
def _fill_means(values: np.ndarray, step: int, out: np.ndarray) -> None:
    for y in range(out.shape[0]):
        for x in range(out.shape[1]):
            total, n = 0.0, 0
            for row in values[y * step : (y + 1) * step, x * step : (x + 1) * step]:
                for value in row:
                    if np.isfinite(value):
                        total += value
                        n += 1
            out[y, x] = total / n if n else np.nan


def stretched(values: np.ndarray) -> np.ndarray:
    """Return brightness from 0 to 1 of surface brightness; 0 where it is not known.

    The sky's noise is a tenth of the range, 1000 times that the end of it.

    Examples
    --------
    >>> stretched(np.full((2, 2), np.nan)).tolist()
    [[0.0, 0.0], [0.0, 0.0]]
    """
    known = values[np.isfinite(values)]
    if known.size == 0:
        return np.zeros(values.shape)
    sky = np.median(known)
    noise = 1.4826 * np.median(np.abs(known - sky)) or 1.0
    scaled = np.arcsinh((values - sky) / noise / 2 + 1) / np.arcsinh(500)
    return np.clip(np.nan_to_num(scaled), 0, 1)


def write_picture(
    path: Path, values: np.ndarray, provenance: Mapping[str, Any], side: int = _PREVIEW
) -> None:
    """Write a PNG of an image, its first row at the bottom, no side longer than `side` pixels.

    Brightness as the inverse hyperbolic sine of the significance; black where it is not known.
    """
    brightness = stretched(binned(values, side))
    text = PngInfo()
    text.add_text("Software", "tessella")
    gray = np.rint(255 * brightness[::-1]).astype(np.uint8)
    with replacing(path, provenance) as part:
        Image.fromarray(gray).save(part, format="PNG", pnginfo=text)


def _write_maps(path: Path, mosaic: Mosaic, provenance: Mapping[str, Any]) -> None:
    figure = Figure(figsize=(11, 9), layout="constrained")
    FigureCanvasAgg(figure)
    n_inputs = np.zeros(mosaic.data.shape, np.uint16)
    for plane in mosaic.context:
        n_inputs += np.bitwise_count(plane)
    covered = n_inputs > 0
    maps = {
        "images": np.where(covered, n_inputs, np.nan),
        "exposure time [s]": np.where(covered, mosaic.exposure_time, np.nan),
        "depth: 1 sigma of a pixel [MJy / sr]": mosaic.err,
        "surface brightness [MJy / sr]": mosaic.data,
    }
    for axes, (title, values) in zip(figure.subplots(2, 2).flat, maps.items(), strict=True):
        small = binned(values, _MAP)
        known = small[np.isfinite(small)]
        low, high = np.percentile(known, [1, 99]) if known.size else (0.0, 1.0)
        shown = axes.imshow(
            small, origin="lower", vmin=low, vmax=high if high > low else low + 1, cmap="viridis",
            extent=(-0.5, mosaic.lattice.nx - 0.5, -0.5, mosaic.lattice.ny - 0.5),
        )  # fmt: skip
        axes.set_title(title)
        figure.colorbar(shown, ax=axes)
    cell = mosaic.lattice.skycell
    figure.suptitle(f"{cell}  {mosaic.optical_element}  {len(mosaic.members)} images")
    with replacing(path, provenance) as part:
        figure.savefig(part, dpi=100, metadata={"Software": "tessella"})

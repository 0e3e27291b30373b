"""Pictures of measured references."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tessella.io.report_plots import figure
from tessella.quality.colour import binned

#: Side of a map in the picture [pixels].
_SIDE = 256
#: Maps are drawn between these percentiles of what is shown.
_RANGE = (1.0, 99.0)


def plot_maps(
    path: str | Path,
    provenance: Mapping[str, Any],
    detector: str,
    maps: Mapping[str, np.ndarray],
) -> None:
    """Draw maps of a detector beside one another, the first row below.

    Parameters
    ----------
    path : path
        PNG file.
    detector : str
        RAD name.
    maps : mapping of str to ndarray of shape (ny, nx)
        By title; NaN where nothing is known. Large ones are averaged over squares.
    """
    with figure(path, provenance, len(maps), 3.1 * len(maps), 3.0) as axes:
        for axis, (title, values) in zip(axes, maps.items(), strict=True):
            shown = binned(values, max(1, -(-max(values.shape) // _SIDE)))
            known = shown[np.isfinite(shown)]
            low, high = np.percentile(known, _RANGE) if known.size else (0.0, 1.0)
            if low == high and known.size:
                low, high = known.min(), known.max()
            drawn = axis.imshow(
                shown, origin="lower", vmin=low, vmax=high, cmap="viridis", interpolation="nearest"
            )
            axis.set(title=title, xticks=[], yticks=[])
            axis.figure.colorbar(drawn, ax=axis, shrink=0.8)
        axes[0].set_ylabel(detector)

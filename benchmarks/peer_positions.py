"""Where romanisim puts the pixels of detectors on the sky, for compare_positions.py.

Runs with a Python that holds romanisim 0.14, not with the project's:

    PYTHON benchmarks/peer_positions.py FOLDER

It reads distortions (*_distortion.asdf) and pointings (pointings.json) from the folder, makes
romanisim's transformation for each detector and pointing as its simulator does, and writes the sky
positions of a grid of pixels to positions.npz, the pixels of those positions by its own inverse
beside them.
"""

import json
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import asdf
import numpy as np
from astropy.coordinates import SkyCoord

warnings.simplefilter("ignore")

from romanisim.models.wcs import GWCS, fill_in_parameters, make_wcs  # noqa: E402


def main() -> None:
    """Write the positions."""
    folder = Path(sys.argv[1])
    given = json.loads((folder / "pointings.json").read_text())
    x, y = (values.ravel().astype(float) for values in np.meshgrid(given["axis"], given["axis"]))
    found = {"software": f"romanisim {version('romanisim')}"}
    for detector in given["detectors"]:
        with asdf.open(folder / f"{detector}_distortion.asdf") as file:
            distortion = file["distortion"]
            for number, (ra, dec, pa) in enumerate(given["pointings"]):
                meta = {}
                place = SkyCoord(ra, dec, unit="deg")
                fill_in_parameters(meta, place, pa_aper=pa, boresight=False)
                told = {name: meta["wcsinfo"][name] for name in ("v2_ref", "v3_ref", "roll_ref")}
                wcs = GWCS(make_wcs(place, distortion, **told))
                sky = wcs._radec(x, y)
                found[f"{detector} {number} sky"] = np.degrees(sky)
                found[f"{detector} {number} pixel"] = np.array(wcs._xy(*sky))
            aberrated = given["aberrated"][detector]
            place = SkyCoord(aberrated.pop("ra_ref"), aberrated.pop("dec_ref"), unit="deg")
            scale = aberrated.pop("aberration")
            wcs = GWCS(make_wcs(place, distortion, **aberrated, scale_factor=scale))
            found[f"{detector} aberrated sky"] = np.degrees(wcs._radec(x, y))
    np.savez(folder / "positions.npz", **found)


if __name__ == "__main__":
    main()

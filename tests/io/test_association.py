"""Associations of tiles, as official tools read them."""

import json

import numpy as np
from astropy.modeling import models

from tessella.astrometry.tangent import pixel_to_sky
from tessella.io.association import skycell_wcs_info, write_association
from tessella.sky.tessellation import cell_lattice, regions

LATTICE = cell_lattice(regions()[2734], 3, -2)
#: What romancal's schema of associations demands of `skycell_wcs_info`.
KEYWORDS = {
    "name", "pixel_scale", "ra_projection_center", "dec_projection_center", "x0_projection",
    "y0_projection", "ra_center", "dec_center", "nx", "ny", "orientat",
    "orientat_projection_center",
}  # fmt: skip


def test_projection_of_the_association_is_that_of_the_tile():
    info = skycell_wcs_info(LATTICE)
    assert set(info) == KEYWORDS
    # As romancal makes a WCS of it: FITS' tangent projection of offsets in degrees.
    x, y = np.array([0.0, 4999.0, 2499.5, 100.0]), np.array([0.0, 4999.0, 2499.5, 3000.0])
    to_sky = models.Pix2Sky_TAN() | models.RotateNative2Celestial(
        info["ra_projection_center"], info["dec_projection_center"], 180.0
    )
    found = to_sky(
        (x - info["x0_projection"]) * info["pixel_scale"],
        (y - info["y0_projection"]) * info["pixel_scale"],
    )
    np.testing.assert_allclose(found, pixel_to_sky(LATTICE, x, y), atol=1e-11)
    np.testing.assert_allclose((info["ra_center"], info["dec_center"]), [found[0][2], found[1][2]])


def test_members_are_named_from_the_folder_of_the_association(tmp_path):
    images = [tmp_path / "level2" / "a_cal.asdf", tmp_path / "elsewhere" / "b_cal.asdf"]
    path = tmp_path / "level3" / f"r00007_p_full_{LATTICE.skycell}_f158_asn.json"
    write_association(path, images, LATTICE, 7, {})
    content = json.loads(path.read_text())
    (product,) = content["products"]
    assert product["name"] == f"r00007_p_full_{LATTICE.skycell}_f158"
    found = [path.parent / member["expname"] for member in product["members"]]
    assert [name.resolve() for name in found] == images
    assert {member["exptype"] for member in product["members"]} == {"science"}
    assert content["target"] == content["skycell_wcs_info"]["name"] == LATTICE.skycell
    assert content["program"] == "00007"
    strings = ("asn_type", "asn_rule", "asn_id", "program", "asn_pool", "data_release_id")
    assert all(isinstance(content[name], str) for name in strings)

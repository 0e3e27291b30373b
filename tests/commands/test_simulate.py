"""What `tessella simulate` writes, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
import roman_datamodels as rdm
from astropy.table import Table
from PIL import Image as Picture

from tessella.astrometry.tangent import sky_to_pixel
from tessella.astrometry.wcs import attitude_of, detector_to_sky
from tessella.cli import main
from tessella.io.coadd_inputs import open_input
from tessella.io.level2 import read_image
from tessella.io.level3 import read_mosaic
from tessella.io.runs import start_run
from tessella.io.seals import sha256
from tessella.models import Window

REPOSITORY = Path(__file__).parents[2]
STATE = str(REPOSITORY / "config" / "detectors" / "simulated.yaml")
EXPOSURES = str(REPOSITORY / "config" / "exposures" / "minimal.ecsv")
AT = ("12.108", "85.255", "0")
START = "2028-07-01T00:00:00"
WINDOW = Window(1920, 1920, 256, 256)
NAME = "r0000101001001001001_0001_wfi01_f158"


def sky_of(x, y):
    attitude = attitude_of("WFI01", *map(float, AT), START)
    return detector_to_sky(attitude, "WFI01", 1920 + np.asarray(x), 1920 + np.asarray(y))


def catalogue(folder, x, y, flux, **changes):
    """Columns as romanisim has them, without those that only our own truth has."""
    ra, dec = sky_of(x, y)
    n = len(ra)
    columns = {
        "ra": ra,
        "dec": dec,
        "type": np.full(n, "PSF"),
        "n": np.full(n, -1.0),
        "half_light_radius": np.zeros(n),
        "pa": np.zeros(n),
        "ba": np.ones(n),
        "F158": np.broadcast_to(flux, n),
    }
    path = folder / "sources.ecsv"
    table = Table(columns | changes)
    table.write(path, format="ascii.ecsv", overwrite=True)
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """One file of each level, in the folder of a run: products have seals there."""
    folder = tmp_path_factory.mktemp("simulated")
    start_run(folder / "run")
    truth = catalogue(folder, [60.2, 180.7], [120.4, 90.3], [1e-8, 2e-8])
    common = ["--filter", "f158", "--state", STATE, "--seed", "4"]
    window = ["--window", "1920", "1920", "256", "256"]
    for level in ("level1", "level2"):
        words = [level, str(truth), "--pointing", *AT, *common, *window]
        assert main(["simulate", *words, "--out", str(folder / "run" / level)]) == 0
    ra, dec = (str(float(value)) for value in sky_of(124, 124))
    words = ["level3", str(truth), "--exposures", EXPOSURES, "--at", ra, dec, "--size", "300"]
    words += [*common, "--window", "1792", "1792", "512", "512"]
    assert main(["simulate", *words, "--out", str(folder / "run" / "level3")]) == 0
    (coadd,) = (folder / "run" / "level3").glob("*_coadd.asdf")
    paths = [
        folder / f"run/{n}/{NAME}_{s}.asdf" for n, s in (("level1", "uncal"), ("level2", "cal"))
    ]
    return folder, truth, [*paths, coadd]


def test_products_are_official_sealed_and_have_pictures(made):
    for path, kind in zip(made[2], ("ScienceRawModel", "ImageModel", "MosaicModel"), strict=True):
        with rdm.open(path) as model:
            assert type(model).__name__ == kind
            assert model.validate() is None
            assert model.meta.filename == path.name
        assert len(sha256(path)) == 64
        picture = np.asarray(Picture.open(path.with_suffix(".png")))
        assert picture.max() > picture.mean() + 50


def test_image_at_once_enters_a_run_as_any_level_2(made):
    path = made[2][1]
    item = open_input(path, None)
    assert item.about.holds_single_precision
    assert (item.about.window, item.name) == (WINDOW, NAME)
    assert item.about.status["flat_field"] == "COMPLETE"
    assert item.about.status["refpix"] == "SKIPPED"
    rows = item.rows(0, 248)
    assert rows.good.mean() > 0.99
    star = rows.data[105:136, 45:76] - np.median(rows.data)
    assert np.unravel_index(star.argmax(), star.shape) == (15, 15)


def test_coadd_at_once_names_its_images(made):
    mosaic = read_mosaic(made[2][2])
    assert len(mosaic.members) == 3
    assert mosaic.data.shape == (300, 300)
    assert mosaic.exposure_time.max() == pytest.approx(3 * 56.9, rel=0.1)


@pytest.mark.parametrize("level", [1, 2])
def test_bright_star_is_injected_into_files_of_both_levels(made, tmp_path, capsys, level):
    source = made[2][level]
    extra = catalogue(tmp_path, [130.4, 4e3], [125.8, 4e3], 3e-7)
    target = tmp_path / f"with_star{source.suffix}"
    words = ["inject", str(source), str(extra), "--state", STATE, "--out", str(target)]
    assert main(["simulate", *words]) == 0
    assert "1 of 2 sources lie on measured pixels" in capsys.readouterr().out
    told = Table.read(tmp_path / "with_star_injected.ecsv", format="ascii.ecsv")
    assert told["is_measured"].tolist() == [True, False]
    with rdm.open(target) as model:
        assert model.validate() is None
        assert model.meta.tessella.injected.stage == "inject"
    if level == 1:
        before, after = read_image(source)[0], read_image(target)[0]
        unit, reach = before.conversion_megajanskys * before.pixel_area_sr, 25
    else:
        before, after = read_mosaic(source), read_mosaic(target)
        unit, reach = before.lattice.pixel_area_sr, 50
        ra, dec = sky_of(130.4, 125.8)
        x, y = sky_to_pixel(before.lattice, ra, dec)
        assert (told["x"][0], told["y"][0]) == pytest.approx((float(x), float(y)), abs=1e-3)
    added = np.nan_to_num(after.data.astype(float) - before.data)
    x, y = round(told["x"][0]), round(told["y"][0])
    box = np.s_[y - reach : y + reach + 1, x - reach : x + reach + 1]
    # A square of 5.5" holds 0.97 to 0.98 of the light.
    assert added[box].sum() * unit / (3e-7 * 3631e-6) == pytest.approx(0.975, abs=0.012)
    assert (after.err[box] >= before.err[box] * (1 - 1e-6)).all()
    assert np.array_equal(after.var_rnoise, before.var_rnoise, equal_nan=True)


def test_same_words_give_the_same_bytes(made, tmp_path):
    source, extra = made[2][1], catalogue(tmp_path, [130.4], [125.8], 1e-8)
    contents = []
    for folder in ("a", "b"):
        target = tmp_path / folder / "copy.asdf"
        words = ["inject", str(source), str(extra), "--state", STATE, "--out", str(target)]
        assert main(["simulate", *words]) == 0
        contents.append(target.read_bytes())
    assert contents[0] == contents[1]


def refused(capsys, *words):
    assert main(["simulate", *map(str, words), "--state", STATE]) == 1
    said = capsys.readouterr().err
    assert said.startswith("ERROR: ")
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("--filter", "F999"), "expected one of F062"),
        (("--filter", "F158", "--detector", "WFI19"), "expected WFI01 to WFI18"),
        (("--filter", "F158", "--ma-table", "99"), "expected one of 3 4 5"),
        (("--filter", "F158", "--window", "1", "0", "128", "128"), "not a multiple of 128"),
        (("--filter", "F158", "--start", "soon"), "found 'soon'"),
        (("--filter", "F158", "--key", *"1111110"), "--key: found 0"),
        (("--filter", "F158", "--seed", "-1"), "--seed: found -1"),
        (("--filter", "F106"), "column F106 is missing"),
    ],
)
def test_values_that_cannot_be_are_refused(tmp_path, capsys, words, reason):
    path = catalogue(tmp_path, [10.0], [10.0], 1e-9)
    out = tmp_path / "out"
    assert reason in refused(capsys, "level2", path, "--pointing", *AT, *words, "--out", out)
    assert not out.exists()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"F158": [np.nan]}, "row 1, column F158: found nan"),
        ({"type": ["GAL"]}, "column type: found GAL, expected PSF or SER"),
        ({"type": ["SER"], "n": [9.0]}, "column n: found 9.0"),
        ({"dec": [91.0]}, "column dec: found 91.0"),
    ],
)
def test_sources_that_cannot_be_are_refused_by_row_and_column(tmp_path, capsys, changes, reason):
    path = catalogue(tmp_path, [10.0], [10.0], 1e-9, **changes)
    words = ("level2", path, "--pointing", *AT, "--filter", "F158", "--out", tmp_path)
    assert reason in refused(capsys, *words)


def test_cells_without_exposures_and_files_of_other_kinds_are_refused(made, tmp_path, capsys):
    truth = made[1]
    words = ("level3", truth, "--exposures", EXPOSURES, "--filter", "F158", "--out", tmp_path)
    assert "none of its 3 exposures" in refused(capsys, *words, "--at", 200, 5, "--size", 100)
    other = ("level3", truth, "--exposures", EXPOSURES, "--filter", "F062", "--out", tmp_path)
    assert "has F106 F158" in refused(capsys, *other, "--at", 12, 85, "--size", 100)
    ramp = ("inject", made[2][0], truth, "--out", tmp_path / "x.asdf")
    assert "neither an image of Level 2 nor a coadd" in refused(capsys, *ramp)
    same = ("inject", made[2][1], truth, "--out", made[2][1])
    assert "name a copy" in refused(capsys, *same)
    assert "expected the name" in refused(capsys, "inject", made[2][1], truth, "--out", "x.fits")


@pytest.mark.parametrize("action", ["level1", "level2", "level3", "inject"])
def test_help_of_every_action_has_an_example(action, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["simulate", action, "--help"])
    assert ended.value.code == 0
    assert f"example: tessella simulate {action}" in " ".join(capsys.readouterr().out.split())

"""A whole run on a small window: products, reruns, and the way back in from telemetry."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "config" / "minimal.yaml"
RUN = Path("results") / "minimal"


def workflow(folder: Path, *more: str) -> list[str]:
    """Command line of a run in `folder`, away from the clone."""
    return [
        sys.executable, "-m", "snakemake", "--snakefile", str(ROOT / "Snakefile"),
        "--directory", str(folder), "--cores", "2", "--rerun-incomplete",
        "--configfile", str(CONFIG), *more,
    ]  # fmt: skip


def planned(folder: Path, *overlays: Path) -> list[dict]:
    """Jobs that a dry run would start, with their wildcards as text."""
    command = workflow(folder, *map(str, overlays), "--dry-run")
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    jobs = []
    for line in (done.stdout + done.stderr).splitlines():
        words = line.strip()
        if words.startswith(("rule ", "localrule ")):
            jobs.append({"rule": words.split()[1].rstrip(":"), "wildcards": ""})
        elif words.startswith("wildcards:") and jobs:
            jobs[-1]["wildcards"] = words.removeprefix("wildcards:").strip()
    return [job for job in jobs if job["rule"] != "all"]


@pytest.fixture(scope="module")
def finished(minimal_run: Path) -> Path:
    """Folder of a finished run."""
    return minimal_run


def test_products_validate(finished: Path) -> None:
    """Level 1 to 4 products open as the official models and fit their schemas."""
    import roman_datamodels as rdm

    from tessella.io.catalog import read_catalog

    paths = sorted((finished / RUN).glob("level[1-4]/*.asdf"))
    kinds = {path.stem.rsplit("_", 1)[1] for path in paths}
    assert kinds == {"uncal", "cal", "wcs", "coadd", "segm"}
    for path in paths:
        with rdm.open(path) as model:
            assert model.validate() is None
            assert model.meta.filename == path.name
    (catalog,) = (finished / RUN).glob("level4/*_cat.parquet")
    read_catalog(catalog).validate()


def test_references_validate(finished: Path) -> None:
    """All references fit the schemas of their types."""
    import roman_datamodels as rdm

    paths = sorted((finished / RUN).glob("references/simulated/*.asdf"))
    assert len(paths) >= 10
    for path in paths:
        with rdm.open(path) as model:
            assert model.validate() is None


def test_ledgers_balance_and_lost_rows_are_flagged(finished: Path) -> None:
    """Every packet is accounted for, and each missing row shows as DROPOUT in Level 1."""
    from tessella import flags
    from tessella.io.ledgers import read_ledger
    from tessella.io.level1 import read_ramp
    from tessella.models import Window

    ledgers = sorted((finished / RUN).glob("level0/*_ledger.parquet"))
    assert len(ledgers) == 6
    for path in ledgers:
        ledger = read_ledger(path)
        ledger.check()
        # Six packets dropped and three damaged; one holds up to four cells of two rows.
        assert (6 + 3) * 2 <= ledger.counts.missing_rows <= (6 + 3) * 8
        (level1,) = (finished / RUN).glob(
            f"level1/{path.name.removesuffix('_ledger.parquet')}_*_uncal.asdf"
        )
        ramp, _ = read_ramp(level1, Window(1792, 1792, 512, 512))
        assert ((np.asarray(ramp.resultant_dq) & flags.DROPOUT) != 0).any()


def test_report_says_what_was_measured(finished: Path) -> None:
    """The summary has every figure with its number of objects and interval."""
    summary = json.loads((finished / RUN / "quality" / "summary.json").read_text())
    for key in ("completeness_snr10", "purity_snr10", "astrometry_rms_mas"):
        assert {"value", "n", "interval"} <= set(summary[key])
    assert set(summary["flux_bias"]) == {"F106", "F158"}
    assert 6 * (6 + 3) * 2 <= summary["packets"]["missing_rows"] <= 6 * (6 + 3) * 8
    assert (finished / RUN / "quality" / "report.html").stat().st_size > 50_000


def test_bright_stars_come_out_with_their_true_flux_and_place(finished: Path) -> None:
    """Isolated stars above S/N 20 are found, within 1.5 % of their true flux in the median."""
    from astropy.table import Table
    from scipy.spatial import cKDTree

    from tessella.io.catalog import read_catalog

    truth = Table.read(finished / RUN / "simulation" / "truth.ecsv", format="ascii.ecsv")
    (path,) = (finished / RUN).glob("level4/*_cat.parquet")
    catalog = read_catalog(path).source_catalog
    cosine = np.cos(np.radians(np.median(truth["dec"])))
    place = np.column_stack([truth["ra"] * cosine, truth["dec"]]) * 3600
    flux = np.asarray(truth["F158"]) * 3631e9
    found = np.column_stack([np.asarray(catalog["ra"]) * cosine, np.asarray(catalog["dec"])]) * 3600
    distance, nearest = cKDTree(found).query(place)
    lonely = np.array([len(near) == 1 for near in cKDTree(place).query_ball_point(place, 1.0)])
    inside = np.all(np.abs(place - np.median(found, axis=0)) < 20, axis=1)
    chosen = lonely & inside & (np.asarray(truth["type"]) == "PSF") & (flux > 1500) & (flux < 2e5)
    assert chosen.sum() > 20
    assert np.mean(distance[chosen] < 0.1) > 0.9
    matched = chosen & (distance < 0.1)
    measured = np.asarray(catalog["tessella_star_f158_flux"])[nearest[matched]]
    # 20 stars or more of S/N > 20, one percent of scatter by the sub-pixel phase besides.
    assert abs(np.nanmedian(measured / flux[matched]) - 1) < 0.015


def test_a_finished_run_has_nothing_to_do(finished: Path) -> None:
    """A second start plans no job."""
    assert planned(finished) == []


def test_losing_one_image_rebuilds_it_and_what_hangs_on_it(finished: Path) -> None:
    """The other exposures stay as they are; one solution of pointings serves both filters."""
    lost = finished / RUN / "level2" / "r0000101001001003001_0002_wfi01_f158_cal.asdf"
    aside = lost.with_suffix(".aside")
    lost.rename(aside)
    try:
        jobs = planned(finished)
    finally:
        aside.rename(lost)
    rules = [job["rule"] for job in jobs]
    once = ("calibrate_exposure", "align_exposures", "solve_astrometry")
    assert [rules.count(rule) for rule in once] == [1, 1, 1]
    each = ("match_skies", "find_outliers", "coadd_patch", "cut_cell")
    assert [rules.count(rule) for rule in each] == [2, 2, 2, 2]
    assert {"simulate_exposure", "decode_telemetry", "make_references"}.isdisjoint(rules)
    for job in jobs:
        if job["rule"] in ("calibrate_exposure", "align_exposures"):
            assert "r0000101001001003001_0002" in job["wildcards"]
    assert {"detect_sources", "measure_sources", "join_bands"} <= set(rules)


def test_an_option_of_the_catalog_reruns_the_catalog_only(finished: Path, tmp_path: Path) -> None:
    """Changing the detection threshold plans nothing below Level 4."""
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text("detect: {threshold_sigma: 6.0}\n")
    jobs = {job["rule"] for job in planned(finished, overlay)}
    assert "detect_sources" in jobs
    catalog = {"detect_sources", "measure_sources", "join_bands"}
    assert jobs <= catalog | {"make_report", "write_manifest"}


def test_telemetry_files_lead_to_the_same_ramps(finished: Path, tmp_path: Path) -> None:
    """A run that starts from the packets plans itself from them and makes equal Level 1 files."""
    name = "r0000101001001001001_0001_wfi01_f106_uncal.asdf"
    target = f"results/from_packets/level1/{name}"
    more = ["source=telemetry", f"telemetry_folder={finished / RUN / 'level0'}", "run=from_packets"]
    command = [*workflow(tmp_path), "--config", *more, "--", target]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    import asdf

    with asdf.open(tmp_path / target) as one, asdf.open(finished / RUN / "level1" / name) as two:
        for array in ("data", "resultantdq", "reference_read", "amp33"):
            np.testing.assert_array_equal(one["roman"][array], two["roman"][array])


def test_packets_that_arrive_late_complete_the_ramp(finished: Path, tmp_path: Path) -> None:
    """What is there is made and marked; the rest makes the same file as all at once."""
    import asdf

    exposure = "r0000101001001001001_0001"
    sent = (finished / RUN / "level0" / f"{exposure}.l0").read_bytes()
    target = f"results/late/level1/{exposure}_wfi01_f106_uncal.asdf"
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    more = ["source=telemetry", f"telemetry_folder={inbox}", "run=late"]
    overlay = tmp_path / "at_once.yaml"
    overlay.write_text("telemetry: {wait_hours: 0.0}\n")
    command = [*workflow(tmp_path, str(overlay)), "--config", *more, "--", target]
    found = []
    for name, part in (("a", sent[: len(sent) // 2]), ("b", sent[len(sent) // 2 - 9000 :])):
        (inbox / f"{name}.l0").write_bytes(part)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        with asdf.open(tmp_path / target) as file:
            about = file["roman"]["meta"]
            telemetry = about["tessella"]["telemetry"]
            found.append((telemetry["version"], telemetry["completeness"]))
            problem = about["exposure"]["data_problem"] or ""
            assert about["exposure"]["sdf_log_file"] == f"{exposure}_ledger.parquet"
            assert ("incomplete" in problem) == (name == "a")
            data = np.asarray(file["roman"]["data"])
    (first, some), (second, nearly_all) = found
    assert first != second
    assert 0.3 < some < 0.7 < 0.98 < nearly_all
    with asdf.open(finished / RUN / target.removeprefix("results/late/")) as whole:
        np.testing.assert_array_equal(data, whole["roman"]["data"])

"""The manifest lists what leads to the report, and nothing else; it depends on content alone."""

import json

import pytest
from finished_run import changed, product

from tessella.io.manifest import MANIFEST, parse_manifest, write_manifest
from tessella.io.runs import start_run
from tessella.io.seals import Broken, sha256


def make(folder, order=1):
    """A small run: a job with two products, what comes from one of them, and the report."""
    start_run(folder)
    product(folder, "level0/a.l0", "packets")
    product(folder, "level1/a.asdf", "ramp", "level0/a.l0")
    for name in ("level2/a_cal.asdf", "level2/a_verdict.json")[::order]:
        product(folder, name, f"content of {name}", "level1/a.asdf")
    return product(folder, "quality/report.html", "page", "level2/a_cal.asdf", stage="report")


def written(folder):
    write_manifest(folder / MANIFEST, [folder / "quality/report.html"], {"stage": "write_manifest"})
    return (folder / MANIFEST).read_bytes()


def test_lineage_and_other_products_of_its_jobs_are_listed(tmp_path):
    make(tmp_path)
    product(tmp_path, "level2/left_cal.asdf", "of other settings", "level0/a.l0", stage="other")
    listed = parse_manifest(written(tmp_path))
    assert list(listed) == [
        "level0/a.l0",
        "level1/a.asdf",
        "level2/a_cal.asdf",
        "level2/a_verdict.json",
        "quality/report.html",
    ]
    for name, whole in listed.items():
        assert whole.sha256 == sha256(tmp_path / name)
        assert whole.bytes == (tmp_path / name).stat().st_size


def test_equal_runs_have_equal_manifests_whatever_the_order_of_jobs(tmp_path):
    make(tmp_path / "one")
    make(tmp_path / "two", order=-1)
    assert written(tmp_path / "one") == written(tmp_path / "two")


def test_manifest_is_sealed_and_may_be_written_again(tmp_path):
    make(tmp_path)
    assert written(tmp_path) == written(tmp_path)
    assert sha256(tmp_path / MANIFEST)
    assert {"name", "bytes", "sha256"} == {*json.loads(written(tmp_path))["products"][0]}


def test_product_without_a_seal_is_refused_by_name(tmp_path):
    make(tmp_path)
    seal = tmp_path / "seals/level1/a.asdf.json"
    with changed(seal, None), pytest.raises(Broken, match=r"level1/a.asdf: unsealed"):
        written(tmp_path)


def test_damaged_seal_is_refused_by_name(tmp_path):
    make(tmp_path)
    seal = tmp_path / "seals/level1/a.asdf.json"
    with changed(seal, b"{}"), pytest.raises(Broken, match=r"level1/a.asdf: damaged"):
        written(tmp_path)


def test_products_are_not_read(tmp_path):
    make(tmp_path)
    before = written(tmp_path)
    (tmp_path / "level1/a.asdf").unlink()
    assert written(tmp_path) == before

"""Groupings in the graph: official names, catalogs of each group, one group in the report."""

import pytest

from .conftest import jobs_of, snakemake

OVERLAY = """
groupings:
  made: [visit, full, user]
  table: null
  cuts: [{column: PA, minimum: null, maximum: -1.0, groupings: [user]}]
"""
SKYCELL = "000p86x36y63"
VISITS = ("v01001001001001", "v01001001002001")


@pytest.fixture(scope="module")
def jobs(small, tmp_path_factory):
    work = tmp_path_factory.mktemp("groupings")
    (work / "groups.yaml").write_text(OVERLAY)
    done = snakemake("-n", "--configfile", small, work / "groups.yaml", cwd=work)
    assert done.returncode == 0, done.stderr
    return jobs_of(done.stdout)


def made(jobs, ending):
    return {
        name.rpartition("/")[2] for job in jobs for name in job.outputs if name.endswith(ending)
    }


def test_coadds_and_catalogs_of_all_groups_have_official_names(jobs):
    bands = {"full": ("f106", "f158"), VISITS[0]: ("f106",), VISITS[1]: ("f158",)}
    assert made(jobs, "_coadd.asdf") == {
        f"r00001_p_{group}_{SKYCELL}_{band}_coadd.asdf"
        for group, its_bands in bands.items()
        for band in its_bands
    }
    assert made(jobs, "_cat.parquet") == {
        f"r00001_p_{group}_{SKYCELL}_cat.parquet" for group in bands
    }


def test_coadds_of_a_group_are_made_of_its_exposures(jobs):
    for visit, own in zip(VISITS, ("001001_", "002001_"), strict=True):
        needed = {
            name
            for job in jobs
            if any(
                visit in out and out.endswith(("_coadd.asdf", "_sums.h5")) for out in job.outputs
            )
            for name in job.inputs
            if name.endswith("_cal.asdf")
        }
        assert needed
        assert all(own in name for name in needed)


def test_report_is_about_the_whole_run(jobs):
    (report,) = (job for job in jobs if job.rule == "make_report")
    catalogs = [name for name in report.inputs if name.endswith("_cat.parquet")]
    assert len(catalogs) == 1
    assert "_full_" in catalogs[0]


def test_every_product_is_a_target_and_exclusions_are_listed(jobs):
    (last,) = (job for job in jobs if job.rule == "write_manifest")
    targets = {name.rpartition("/")[2] for name in last.inputs}
    assert made(jobs, "_cat.parquet") | made(jobs, "_coadd.asdf") <= targets
    assert "r00001_p_exclusions.ecsv" in targets

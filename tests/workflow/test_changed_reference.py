"""What runs again when one row of the table of references changes; every stage is a stub here."""

import pytest

from .conftest import ROOT, jobs_of, local, snakemake

#: Serves exposures in F106 from after the start of the first one on.
ROW = ("readnoise", "WFI01", "F106", "ANY", "ANY", "2028-07-01T00:01:00")
FILE = ("SIMULATION", "-", "simulated/{detector}_readnoise.asdf")
SECOND = "r0000101001001001001_0002"


def table_of(folder, version):
    table = folder / "references.tsv"
    shipped = (ROOT / "config/references.tsv").read_text()
    table.write_text(shipped + "\t".join((*ROW, version, *FILE)) + "\n")
    return f"references={{table: {table}, states: config/detectors}}"


@pytest.fixture(scope="module")
def done(stub_clone, small, tmp_path_factory):
    """Working directory of a run with a row of its own for the second exposure."""
    work = tmp_path_factory.mktemp("changed")
    args = (*local(stub_clone, small), "--config", table_of(work, "1"), "--cores", 2)
    run = snakemake(*args, cwd=work, root=stub_clone)
    assert run.returncode == 0, run.stdout + run.stderr
    return work


def planned(stub_clone, small, work, version):
    args = ("-n", "--configfile", small, "--config", table_of(work, version))
    run = snakemake(*args, cwd=work, root=stub_clone)
    assert run.returncode == 0, run.stderr
    return jobs_of(run.stdout)


def test_changed_row_reruns_exactly_the_exposures_that_used_it(stub_clone, small, done):
    jobs = planned(stub_clone, small, done, "2")
    calibrated = [name for job in jobs if job.rule == "calibrate_exposure" for name in job.outputs]
    assert calibrated
    assert all(f"/{SECOND}_" in name for name in calibrated)
    rules = sorted(job.rule for job in jobs if job.rule != "all")
    # One band changes; the other has its part in the solution of pointings, and is detected and
    # measured with it.
    assert rules == sorted(
        [
            "select_references",
            "calibrate_exposure",
            "align_exposures",
            "solve_astrometry",
            "list_exclusions",
            *2 * ["match_skies", "find_outliers", "coadd_patch", "cut_cell"],
            "detect_sources",
            *2 * ["measure_sources"],
            "join_bands",
            "make_report",
            "write_manifest",
        ]
    )


def test_table_that_is_written_anew_reruns_nothing(stub_clone, small, done):
    assert not planned(stub_clone, small, done, "1")

"""Everything that is wrong with a folder of results is found, and named exactly."""

import os
import shutil

import pytest
from finished_run import changed, product

from tessella.errors import DataError
from tessella.io import seals
from tessella.io.manifest import MANIFEST, write_manifest
from tessella.io.runs import RUN_FILE, mark, run_of, start_run
from tessella.io.seals import write_seal
from tessella.run.audit import audit
from tessella.run.rebuild import waves
from tessella.run.survey import survey

ONE, TWO, SUM, PAGE = "level1/1.txt", "level1/2.txt", "level2/sum.txt", "quality/report.html"


@pytest.fixture
def unfinished(tmp_path, monkeypatch):
    """A run of two images, what both make, and a page."""
    monkeypatch.setattr(seals, "_seen", {})
    folder = tmp_path / "results"
    start_run(folder)
    product(folder, "level0/1.txt", "raw 1", stage="send")
    product(folder, "level0/2.txt", "raw 2.", stage="send")
    product(folder, ONE, "image 1", "level0/1.txt")
    product(folder, TWO, "image 2.", "level0/2.txt")
    product(folder, SUM, "sum", ONE, TWO)
    product(folder, PAGE, "page", SUM)
    product(folder, "quality/plot.png", "plot", SUM)
    return folder


@pytest.fixture
def results(unfinished):
    """The same, with a manifest."""
    write_manifest(unfinished / MANIFEST, [unfinished / PAGE], {"stage": "write_manifest"})
    return unfinished


def found(folder, **how):
    return {finding.name: finding.kind for finding in audit(folder, **how)}


def seal_of(folder, name):
    return run_of(folder / RUN_FILE).seal_path(name)


def exchange(one, two):
    aside = one.with_name("aside")
    one.rename(aside)
    two.rename(one)
    aside.rename(two)


def test_whole_run_has_no_findings(results):
    assert audit(results) == audit(results, jobs=3) == []
    (results / "logs").mkdir()
    (results / "logs/x.log").touch()
    (results / "quality/times.json").touch()
    assert audit(results) == []


def test_unfinished_run_has_no_findings(unfinished):
    assert audit(unfinished) == []


def test_damage_names_the_product_alone(results):
    for name in (ONE, SUM, PAGE, MANIFEST):
        with changed(results / name, (results / name).read_bytes()[:-1] + b"~"):
            assert found(results) == {name: "damaged"}
        with changed(seal_of(results, name), seal_of(results, name).read_bytes().lower()[:-3]):
            assert found(results) == {name: "damaged"}


def test_only_what_is_asked_for_is_looked_at(results):
    with changed(results / ONE, b"x"), changed(results / SUM, b"y"):
        assert found(results, names={ONE, PAGE}) == {ONE: "damaged"}


def test_lost_file_lost_seal_and_both_are_told_apart(results):
    for name in (ONE, PAGE):
        with changed(results / name, None):
            assert found(results) == {name: "missing"}
            with changed(seal_of(results, name), None):
                assert found(results) == {name: "missing"}
        with changed(seal_of(results, name), None):
            assert found(results) == {name: "unsealed"}


def test_lost_product_of_an_unfinished_run_is_known_from_what_it_was_made_into(unfinished):
    with changed(unfinished / ONE, None), changed(seal_of(unfinished, ONE), None):
        (finding,) = audit(unfinished)
    assert (finding.name, finding.kind) == (ONE, "missing")
    assert f"{SUM} names it" in finding.found


def test_files_that_no_job_of_the_run_made_are_unknown(results):
    (results / "level2/notes.txt").touch()
    (results / "level2/.sum.txt.part").mkdir()
    (results / "level2/.sum.txt.part/sum.txt").touch()
    (results / "seals/level2/.sum.txt.json.part").touch()
    product(results, "level2/left.txt", "of other settings", ONE, stage="other")
    assert found(results) == dict.fromkeys(
        [
            "level2/.sum.txt.part",
            "level2/left.txt",
            "level2/notes.txt",
            "seals/level2/.sum.txt.json.part",
        ],
        "unknown",
    )


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize("seals_too", [True, False])
def test_swapped_pair_is_found_and_each_names_the_other(unfinished, finished, seals_too):
    if finished:
        write_manifest(unfinished / MANIFEST, [unfinished / PAGE], {"stage": "write_manifest"})
    exchange(unfinished / ONE, unfinished / TWO)
    if seals_too:
        exchange(seal_of(unfinished, ONE), seal_of(unfinished, TWO))
    first, second = audit(unfinished)
    assert (first.name, first.kind, second.name, second.kind) == (ONE, "swapped", TWO, "swapped")
    assert TWO in first.found
    assert ONE in second.found


def test_swapped_seals_are_found(results):
    exchange(seal_of(results, ONE), seal_of(results, TWO))
    assert found(results) == {ONE: "swapped", TWO: "swapped"}


@pytest.mark.parametrize("finished", [True, False])
def test_pair_that_was_swapped_with_the_names_in_its_seals_is_found(unfinished, finished):
    if finished:
        write_manifest(unfinished / MANIFEST, [unfinished / PAGE], {"stage": "write_manifest"})
    exchange(unfinished / ONE, unfinished / TWO)
    run = run_of(unfinished / ONE)
    for name in (ONE, TWO):
        write_seal(run, name, unfinished / name, {"stage": "stage"})
    assert found(unfinished) == {ONE: "swapped", TWO: "swapped"}


def test_manifest_tells_a_swap_of_what_nothing_is_made_from(results):
    plot = "quality/plot.png"
    exchange(results / PAGE, results / plot)
    run = run_of(results / PAGE)
    for name in (PAGE, plot):
        write_seal(run, name, results / name, {"stage": "stage"})
    assert found(results).items() >= {PAGE: "swapped", plot: "swapped"}.items()


def test_equal_contents_are_no_swap(unfinished):
    product(unfinished, "level0/3.txt", "raw 1")
    assert audit(unfinished) == []


def test_product_of_another_run_is_damaged_without_its_seal_and_foreign_with_it(results, tmp_path):
    start_run(tmp_path / "other")
    other = product(tmp_path / "other", ONE, "other image")
    shutil.copy(other, results / ONE)
    assert found(results) == {ONE: "damaged"}
    shutil.copy(seal_of(tmp_path / "other", ONE), seal_of(results, ONE))
    assert found(results) == {ONE: "foreign"}


def test_what_was_made_from_another_version_is_stale(results):
    product(results, ONE, "image 1, calibrated again", "level0/1.txt")
    assert found(results) == {SUM: "stale", MANIFEST: "stale"}


def test_inputs_from_elsewhere_are_not_missing(unfinished, tmp_path):
    start_run(tmp_path / "other")
    other = product(tmp_path / "other", "level0/x.l0", "packets")
    product(unfinished, "level1/x.txt", "image", str(other))
    other.unlink()
    assert audit(unfinished) == []


@pytest.mark.parametrize("content", [None, b"{}", b'{\n "run": "12'])
def test_lost_or_damaged_mark_of_a_run_is_found_and_can_be_written_again(results, content):
    original = (results / RUN_FILE).read_bytes()
    with changed(results / RUN_FILE, content):
        assert found(results) == {RUN_FILE: "damaged" if content else "missing"}
        mark(survey(results).run)
        assert (results / RUN_FILE).read_bytes() == original


def test_mark_of_another_run_is_found(results, tmp_path):
    start_run(tmp_path / "other")
    with changed(results / RUN_FILE, (tmp_path / "other" / RUN_FILE).read_bytes()):
        assert found(results) == {RUN_FILE: "foreign"}


def test_file_that_cannot_be_read_is_damaged(results):
    if os.geteuid() == 0:
        pytest.skip("root reads all files")
    (results / ONE).chmod(0)
    assert found(results) == {ONE: "damaged"}


def test_folder_that_is_no_run_is_refused(tmp_path):
    with pytest.raises(DataError, match="no run has made products here"):
        audit(tmp_path)
    with pytest.raises(DataError, match="no such folder"):
        audit(tmp_path / "nowhere")


def test_progress_ends_with_all_bytes(results):
    told = []
    audit(results, tell=lambda done, total: told.append((done, total)))
    done, total = told[-1]
    assert done == total == sum(finding.stat().st_size for finding in files(results))


def files(folder):
    return [
        path
        for path in folder.rglob("*")
        if path.is_file() and "seals" not in path.parts and path.name != RUN_FILE
    ]


def test_no_product_is_made_again_together_with_one_that_it_comes_from(results):
    held = survey(results)
    assert waves(held, {ONE, TWO, PAGE}) == [[ONE, TWO], [PAGE]]
    assert waves(held, {"level0/1.txt", TWO, SUM}) == [["level0/1.txt", TWO], [SUM]]


def test_what_lost_its_seal_waits_for_all_that_do_not_come_from_it(results):
    seal_of(results, SUM).write_bytes(b"")
    assert waves(survey(results), {ONE, SUM, PAGE}) == [[ONE], [SUM], [PAGE]]

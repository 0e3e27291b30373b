"""Whatever happens to a file of a run, its readers refuse it and the audit names it."""

import importlib.util
import random
import re
import shlex
import subprocess
import sys
from collections import defaultdict
from contextlib import ExitStack
from pathlib import Path

import calibration_campaign as campaign
import pytest
from finished_run import CAMPAIGN_STAGES, RUN, STAGES, arguments, changed, copy_of, flipped

from tessella.errors import DataError
from tessella.io import seals
from tessella.io.asdf_files import open_roman
from tessella.io.manifest import MANIFEST
from tessella.io.references import read_selection
from tessella.io.runs import RUN_FILE, run_of, start_run
from tessella.io.seals import Broken, read_seal, sha256, write_seal
from tessella.run.audit import audit
from tessella.run.survey import survey

ROUNDS, FLIPS_A_ROUND = 50, 20
#: Rules that take nothing from the run.
FIRST = {"make_truth", "make_reference_stars", "make_references", "write_association"}
RULES = sorted(STAGES - FIRST)


@pytest.fixture(scope="module")
def work(minimal_run, tmp_path_factory):
    """Working directory of a finished run that tests may damage if they mend it."""
    folder = tmp_path_factory.mktemp("damaged")
    copy_of(minimal_run, folder)
    return folder


@pytest.fixture
def results(work, monkeypatch):
    """Folder of results; this process has read nothing of it yet."""
    monkeypatch.setattr(seals, "_seen", {})
    return work / RUN


def named(results):
    return {finding.name: finding.kind for finding in audit(results)}


def refused(path):
    with pytest.raises(Broken) as found:
        sha256(path)
    assert "\n" not in str(found.value)
    return found.value.name, found.value.kind


def kinds(results):
    """Return products by kind: their names without numbers."""
    found = defaultdict(list)
    for name in run_of(results / RUN_FILE).sealed():
        found[re.sub(r"_[0-9a-f]{8}\b|[0-9]", "", name)].append(name)
    return found


def touched(results, rng):
    """Draw a file for a flip: a product, or as often the seal of one, of each kind in turn."""
    for names in kinds(results).values():
        name = rng.choice(names)
        path = run_of(results / RUN_FILE).seal_path(name) if rng.random() < 0.5 else results / name
        yield name, path


def test_all_kinds_of_files_are_there(results):
    endings = {Path(name).suffix for names in kinds(results).values() for name in names}
    assert endings == {".asdf", ".ecsv", ".h5", ".html", ".json", ".l0", ".parquet", ".png"}
    for kind in ("_verdict.json", "_ledger.parquet", ".l.json", "_coadd.asdf", "_cat.parquet"):
        assert any(name.endswith(kind) for name in kinds(results)), kind
    assert MANIFEST in kinds(results)
    assert audit(results) == []


@pytest.mark.parametrize("number", range(ROUNDS))
def test_flipped_bits_are_found_by_readers_and_named_by_the_audit(results, number):
    rng = random.Random(number)
    drawn = rng.sample(list(touched(results, rng)), FLIPS_A_ROUND)
    with ExitStack() as stack:
        for _, path in drawn:
            content = path.read_bytes()
            stack.enter_context(changed(path, flipped(content, rng.randrange(8 * len(content)))))
        for name, _ in drawn:
            assert refused(results / name) == (name, "damaged")
        assert named(results) == {name: "damaged" for name, _ in drawn}


def test_truncated_files_are_found(results):
    rng = random.Random(1)
    drawn = list(touched(results, rng))
    with ExitStack() as stack:
        for _, path in drawn:
            content = path.read_bytes()
            stack.enter_context(changed(path, content[: rng.randrange(len(content))]))
        for name, _ in drawn:
            assert refused(results / name) == (name, "damaged")
        assert named(results) == {name: "damaged" for name, _ in drawn}


def test_flipped_bits_of_the_mark_of_the_run_are_found(results):
    mark = results / RUN_FILE
    content, rng = mark.read_bytes(), random.Random(2)
    for bit in rng.sample(range(8 * len(content)), 10):
        with changed(mark, flipped(content, bit)):
            with pytest.raises(DataError, match=f"{RUN_FILE}: damaged"):
                sha256(results / MANIFEST)
            assert set(named(results)) == {RUN_FILE}


def pairs(results):
    """Return two products of each kind that differ in content."""
    run = run_of(results / RUN_FILE)
    for names in kinds(results).values():
        by_content = {read_seal(run, name).whole.sha256: name for name in names}
        if len(by_content) > 1:
            yield tuple(list(by_content.values())[:2])


def exchange(stack, one, two):
    first, second = one.read_bytes(), two.read_bytes()
    stack.enter_context(changed(one, second))
    stack.enter_context(changed(two, first))


def test_swapped_files_are_found(results):
    swapped = dict(pairs(results))
    assert len(swapped) > 10
    with ExitStack() as stack:
        for one, two in swapped.items():
            exchange(stack, results / one, results / two)
        both = {*swapped, *swapped.values()}
        assert {refused(results / name) for name in both} == {(name, "damaged") for name in both}
        assert named(results) == dict.fromkeys(both, "swapped")


def test_files_that_were_swapped_with_their_seals_are_found(results):
    swapped = dict(pairs(results))
    run = run_of(results / RUN_FILE)
    with ExitStack() as stack:
        for one, two in swapped.items():
            exchange(stack, results / one, results / two)
            exchange(stack, run.seal_path(one), run.seal_path(two))
        both = {*swapped, *swapped.values()}
        assert {refused(results / name) for name in both} == {(name, "swapped") for name in both}
        assert named(results) == dict.fromkeys(both, "swapped")


@pytest.mark.parametrize("finished", [True, False])
def test_pairs_that_were_swapped_with_the_names_in_their_seals_are_found(results, finished):
    swapped = dict(pairs(results))
    run = run_of(results / RUN_FILE)
    with ExitStack() as stack:
        if not finished:
            stack.enter_context(changed(results / MANIFEST, None))
            stack.enter_context(changed(run.seal_path(MANIFEST), None))
            # Of what nothing is made from, nobody but the manifest knows.
            users = survey(results).users
            swapped = {one: two for one, two in swapped.items() if one in users}
        for one, two in swapped.items():
            made_by = {name: read_seal(run, name).made_by for name in (one, two)}
            exchange(stack, results / one, results / two)
            exchange(stack, run.seal_path(one), run.seal_path(two))
            write_seal(run, one, results / one, made_by[two])
            write_seal(run, two, results / two, made_by[one])
        both = {*swapped, *swapped.values()}
        assert named(results) == dict.fromkeys(both, "swapped")
        for name in both:
            if name.startswith("level") and name.endswith(".asdf"):
                with pytest.raises(Broken, match="swapped"), open_roman(results / name):
                    pass


def test_files_of_another_run_are_found_with_and_without_their_seals(results, tmp_path):
    other = start_run(tmp_path / "other")
    run = run_of(results / RUN_FILE)
    names = [names[0] for names in kinds(results).values()]
    with ExitStack() as stack:
        for name in names:
            theirs = other.folder / name
            theirs.parent.mkdir(parents=True, exist_ok=True)
            theirs.write_bytes((results / name).read_bytes() + b"\n")
            stack.enter_context(changed(results / name, theirs.read_bytes()))
            write_seal(other, name, theirs, {})
        assert {refused(results / name)[1] for name in names} == {"damaged"}
        assert named(results) == dict.fromkeys(names, "damaged")
        for name in names:
            seal = other.seal_path(name).read_bytes()
            stack.enter_context(changed(run.seal_path(name), seal))
        assert {refused(results / name)[1] for name in names} == {"foreign"}
        assert named(results) == dict.fromkeys(names, "foreign")


def jobs_of(work, asked):
    """Return for each rule its first job: inputs and command line, as Snakemake runs it."""
    asked = [*asked, "--directory", str(work), "--forceall", "--dry-run", "--printshellcmds"]
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *asked],
        capture_output=True, text=True, check=True, cwd=work,
    )  # fmt: skip
    found = {}
    for block in re.split(r"^rule ", done.stdout + done.stderr, flags=re.MULTILINE)[1:]:
        inputs = re.search(r"^    input: (.*)$", block, flags=re.MULTILINE)
        command = re.search(r"^Shell command: .*?python (.*) > .* 2>&1$", block, re.MULTILINE)
        if inputs and command:
            words = shlex.split(command[1])
            found.setdefault(Path(words[0]).stem, (inputs[1].split(", "), words))
    return found


@pytest.fixture(scope="module")
def commands(work):
    return jobs_of(work, arguments())


@pytest.fixture(scope="module")
def campaign_work(campaign_run, tmp_path_factory):
    """Working directory of a campaign that tests may damage if they mend it."""
    folder = tmp_path_factory.mktemp("damaged campaign")
    copy_of(campaign_run, folder)
    return folder


@pytest.fixture(scope="module")
def campaign_commands(campaign_work):
    return jobs_of(campaign_work, campaign.arguments(campaign_work))


def inputs_of(results, rule, inputs):
    """Return the products that a job reads: each input of the rule, and what those refer to."""
    run = run_of(results / RUN_FILE)
    sealed = {*run.sealed()}
    names = (path.partition(f"results/{run.folder.name}/")[2] for path in inputs)
    given = [name for name in names if name in sealed]
    if rule == "write_manifest":
        # It reads the report and the seals of all else.
        return [name for name in given if name.endswith("report.html")]
    if rule == "calibrate_exposure":
        for name in [name for name in given if "/selections/" in name]:
            given += [run.name_of(path) for path, _ in read_selection(results / name).values()]
    # Of many alike the first and the last.
    alike = defaultdict(list)
    for name in given:
        alike[re.sub(r"\d+", "", name)].append(name)
    return sorted({name for names in alike.values() for name in (names[0], names[-1])})


def refuses_each_damaged_input(results, job, monkeypatch):
    inputs, (script, *words) = job
    rule = Path(script).stem
    spec = importlib.util.spec_from_file_location(rule, script)
    stage = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(stage)
    monkeypatch.chdir(results.parents[1])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    names = inputs_of(results, rule, inputs)
    assert names
    for name in names:
        content = (results / name).read_bytes()
        # A bit of the first few hundred bytes: some stages read no arrays.
        with changed(results / name, flipped(content, 8 * min(300, len(content) // 2))):
            with pytest.raises(Broken) as found:
                stage.main(words)
            assert (found.value.name, found.value.kind) == (name, "damaged")
            assert "\n" not in str(found.value)


@pytest.mark.parametrize("rule", RULES)
def test_stage_refuses_each_damaged_input_in_one_line(results, commands, rule, monkeypatch):
    refuses_each_damaged_input(results, commands[rule], monkeypatch)


@pytest.mark.parametrize("rule", sorted(CAMPAIGN_STAGES))
def test_stage_of_a_campaign_refuses_each_damaged_input_in_one_line(
    campaign_work, campaign_commands, rule, monkeypatch
):
    monkeypatch.setattr(seals, "_seen", {})
    refuses_each_damaged_input(campaign_work / campaign.RUN, campaign_commands[rule], monkeypatch)


def test_refusal_ends_a_stage_with_code_1_and_one_line(results, commands):
    inputs, words = commands["write_manifest"]
    (name,) = {path.removeprefix(f"{RUN}/") for path in inputs if path.endswith(".html")}
    with changed(results / name, b"another page"):
        command = [sys.executable, *words]
        done = subprocess.run(
            command, cwd=results.parents[1], capture_output=True, text=True, check=False
        )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("ERROR: ")
    assert f"{name}: damaged: it has 12 bytes" in line

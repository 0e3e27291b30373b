"""`tessella repair` makes again what is bad, and nothing else; the run is then what it was."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from finished_run import RUN, arguments, copy_of, flipped

from tessella.io.manifest import MANIFEST
from tessella.io.runs import RUN_FILE, run_of, start_run
from tessella.run import claims
from tessella.run.audit import audit

SNAKEFILE = """\
rule all:
    input: "results/toy/manifest.json"

rule send:
    output: "results/toy/level0/{n}.txt"
    shell: "python make.py send {output}"

rule image:
    input: "results/toy/level0/{n}.txt"
    output: "results/toy/level2/{n}_cal.txt", "results/toy/level2/{n}_verdict.txt"
    shell: "python make.py image {output} {input}"

rule add:
    input: expand("results/toy/level2/{n}_cal.txt", n=[1, 2])
    output: "results/toy/level3/sum.txt"
    shell: "python make.py add {output} {input}"

rule page:
    input: "results/toy/level3/sum.txt", expand("results/toy/level2/{n}_verdict.txt", n=[1, 2])
    output: "results/toy/quality/page.txt"
    shell: "python make.py page {output} {input}"

rule write_manifest:
    input: "results/toy/quality/page.txt"
    output: "results/toy/manifest.json"
    shell: "python make.py manifest {output} {input}"
"""

MAKE = '''\
"""Makes products from nothing but names; IMAGES changes the images without Snakemake's knowing."""
import os
import sys
from tessella.io.atomic import replacing
from tessella.io.manifest import write_manifest
from tessella.io.provenance import provenance

stage, files = sys.argv[1], sys.argv[2:]
made = files[: 2 if stage == "image" else 1]
made_by = provenance(stage, {}, files[len(made):])
if stage == "manifest":
    write_manifest(made[0], files[1:], made_by)
    sys.exit()
for path in made:
    with replacing(path, made_by) as part:
        part.write_text(f"{path} {os.environ.get('IMAGES', '') if stage == 'image' else ''}")
'''


def call(command, work, *args, **environment):
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    words = [sys.executable, "-m", "tessella", command, *args]
    return subprocess.run(
        words,
        cwd=work,
        env=os.environ | {"PATH": path} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def jobs_of(done):
    """Rules of the jobs that ran, in their order."""
    return re.findall(r"^(?:local)?rule (\w+):", done.stderr, flags=re.MULTILINE)


def contents(results):
    """Products and their content; seals know the version of the code as well."""
    return {name: content for name, (_, content) in state(results).items() if name[:5] != "seals"}


def state(results):
    return {
        path.relative_to(results).as_posix(): (path.stat().st_ino, path.read_bytes())
        for path in sorted(results.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Working directory of a finished run of a workflow without pixels."""
    work = tmp_path_factory.mktemp("toy run")
    (work / "Snakefile").write_text(SNAKEFILE)
    (work / "make.py").write_text(MAKE)
    start_run(work / "results/toy")
    done = call("resume", work, "--cores", "2")
    assert done.returncode == 0, done.stderr
    assert audit(work / "results/toy") == []
    return work


@pytest.fixture
def toy(made, tmp_path):
    """A copy of one's own, times of change kept; its folder of results."""
    shutil.copytree(made, tmp_path / "work")
    return tmp_path / "work/results/toy"


def repair(results, *more, **environment):
    name = f"results/{results.name}"
    more = more or ("--cores", "2")
    return call("repair", results.parents[1], name, *more, **environment)


def spoil(path, bit=5):
    """Flip a bit and leave the time of change as it was, as a disk does it."""
    status = path.stat()
    path.write_bytes(flipped(path.read_bytes(), bit))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def seal(results, name):
    return run_of(results / RUN_FILE).seal_path(name)


def test_one_image_of_a_run_is_made_again_and_nothing_else(minimal_run, tmp_path):
    results = copy_of(minimal_run, tmp_path)
    before = state(results)
    image = "level2/r0000101001001003001_0002_wfi01_f158_cal.asdf"
    spoil(results / image, 8_000_000)
    assert call("verify", tmp_path, str(RUN)).returncode == 1
    done = call("repair", tmp_path, str(RUN), *arguments())
    assert done.returncode == 0, done.stdout + done.stderr
    assert jobs_of(done) == ["calibrate_exposure"]
    assert "exposure=r0000101001001003001_0002" in done.stderr
    after = state(results)
    for name in (MANIFEST, image, f"seals/{image}.json"):
        assert after[name][1] == before[name][1]
    again = {name for name, (inode, _) in after.items() if inode != before.get(name, (0,))[0]}
    products = {name for name in again if name.startswith("level")}
    assert products == {image, image.replace("_wfi01_f158_cal.asdf", "_f158_verdict.json")}
    assert call("verify", tmp_path, str(RUN)).returncode == 0


def lose(results, name):
    (results / name).unlink()
    seal(results, name).unlink()


def swap_with_the_other(results, name):
    other = name.replace("1", "2")
    for one, two in ((name, other), (other, name)):
        shutil.copy(results / one, results / f"{two}.aside")
    for target in (name, other):
        (results / f"{target}.aside").rename(results / target)


def spoil_some(results):
    spoil(results / RUN_FILE)
    spoil(results / "level2/1_cal.txt")
    (results / "level2/2_verdict.txt").unlink()


def lose_seals(results):
    seal(results, "level2/1_cal.txt").unlink()
    seal(results, "level3/sum.txt").write_bytes(b"{}")
    lose(results, "quality/page.txt")


def swap(results):
    swap_with_the_other(results, "level2/1_cal.txt")
    spoil(results / MANIFEST)


def spoil_both_ends(results):
    lose(results, "level0/2.txt")
    seal(results, "level3/sum.txt").write_bytes(b"{}")


@pytest.mark.parametrize(
    ("spoiled", "jobs"),
    [
        (spoil_some, ["image", "image"]),
        (lose_seals, ["image", "add", "page"]),
        (swap, ["image", "image", "write_manifest"]),
        (spoil_both_ends, ["send", "add"]),
    ],
)
def test_just_what_is_bad_is_made_again(toy, spoiled, jobs):
    before = contents(toy)
    spoiled(toy)
    done = repair(toy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [job for job in jobs_of(done) if job != "all"] == jobs
    assert contents(toy) == before


def test_what_comes_from_a_product_that_differs_is_made_again(toy):
    spoil(toy / "level2/1_cal.txt")
    done = repair(toy, IMAGES="better")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [job for job in jobs_of(done) if job != "all"] == [
        "image",
        "add",
        "page",
        "write_manifest",
    ]
    assert "level2/1_cal.txt differs from what was there" in done.stdout


def test_stale_products_are_made_again(toy):
    work = toy.parents[1]
    make = [sys.executable, "make.py", "image", "results/toy/level2/1_cal.txt"]
    verdict = "results/toy/level2/1_verdict.txt"
    subprocess.run(
        [*make, verdict, "results/toy/level0/1.txt"],
        cwd=work,
        env=os.environ | {"IMAGES": "other"},
        check=True,
    )
    shutil.copystat(toy / "level2/2_cal.txt", toy / "level2/1_cal.txt")
    shutil.copystat(toy / "level2/2_cal.txt", toy / "level2/1_verdict.txt")
    assert "stale     level3/sum.txt" in call("verify", work, "results/toy").stdout
    done = repair(toy, IMAGES="other")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {*jobs_of(done)} - {"all"} == {"add", "page", "write_manifest"}


def test_unknown_files_are_named_and_stay_and_left_overs_go(toy):
    (toy / "level2/notes.md").write_text("mine")
    left = toy / "level2/.1_cal.txt.part"
    left.mkdir()
    (left / "1_cal.txt").write_text("half")
    done = repair(toy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "unknown   level2/notes.md: no product of this run" in done.stdout
    assert (toy / "level2/notes.md").exists()
    assert not left.exists()
    assert {*jobs_of(done)} <= {"all"}


def test_whole_run_starts_no_snakemake(toy):
    done = repair(toy, "--no-such-option")
    assert done.returncode == 0
    assert done.stdout.endswith("all as they were made\n")


def test_unfinished_run_is_finished(toy):
    lose(toy, MANIFEST)
    spoil(toy / "level3/sum.txt")
    assert "the run is not finished" in call("verify", toy.parents[1], "results/toy").stdout
    done = repair(toy)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [job for job in jobs_of(done) if job != "all"] == ["add", "write_manifest"]


def test_run_that_goes_on_is_not_repaired(toy):
    spoil(toy / "level3/sum.txt")
    work = toy.parents[1]
    claim = claims.take(work, claims.Asked("results/toy"), ["results/toy/level3/sum.txt"])
    done = repair(toy)
    (work / claims.FOLDER / claim.file).unlink()
    assert done.returncode == 1
    assert f"process {claim.pid} on host {claim.host}" in done.stderr
    assert (toy / "level3/sum.txt").exists()


def test_nothing_is_removed_before_snakemake_can_make_it_and_it_works_from_anywhere(toy, tmp_path):
    work, spoiled = toy.parents[1], toy / "level3/sum.txt"
    spoil(spoiled)
    more = ["-d", str(work), "-s", str(work / "Snakefile"), "--cores", "2"]
    done = call("repair", tmp_path, str(toy), *more)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("ERROR: ")
    assert "as the configuration names it" in done.stderr
    assert spoiled.exists()
    done = call("repair", tmp_path, "results/toy", *more)
    assert done.returncode == 0, done.stdout + done.stderr
    assert jobs_of(done) == ["add"]

"""A clone of the workflow whose stages are stand-ins: no pixels, but true seals and true writes."""

import os
import re
import shutil
from pathlib import Path

import finished_run

ROOT = finished_run.ROOT
RUN = finished_run.RUN

STAND_IN = '''\
"""Stands for any stage: what this stage or none has sealed it writes, all else it reads."""
import json
import os
import sys
from pathlib import Path

from tessella.io.atomic import replacing
from tessella.io.runs import run_of
from tessella.io.seals import Broken, read_seal, sha256
from tessella.stage import stage_arguments

stage_arguments(__doc__, [])  # says errors as stages do
if os.environ.get("PMI_RANK", "0") != "0":
    sys.exit()
STAGE = Path(sys.argv[0]).stem
lists = [
    json.loads(word)
    if word.startswith("[")
    else Path(word[1:]).read_text().splitlines()
    if word.startswith("@")
    else [word]
    for word in sys.argv[1:]
]
named = [str(word) for words in lists for word in words]
words = [Path(word) for word in named if word.startswith("results/") and Path(word).suffix]
# The plan is Snakemake's own.
words = [word for word in words if word.parent.name != "plan"]
if STAGE == "write_association":  # it names images that need not be there yet
    words = words[-1:]
words += [word.with_name(word.name + ".json") for word in words if word.suffix == ".l0"]


def is_input(path):
    try:
        run = run_of(path)
        return read_seal(run, run.name_of(path)).made_by["stage"] != STAGE
    except Broken:
        return False


run = run_of(words[0])
inputs = [word for word in words if is_input(word)]
made_from = [{"name": run.name_of(path), "sha256": sha256(path)} for path in inputs]
content = {"stage": STAGE, "detectors": [], "made_from": made_from}
for path in words:
    if path not in inputs:
        made_by = {"stage": STAGE, "made_from": made_from}
        with replacing(path, None if path.stem == "times" else made_by) as part:
            part.write_text(json.dumps({**content, "name": path.name * 1000}))
'''


def make_clone(folder: Path) -> Path:
    """Lay a clone whose stages are stand-ins, all but the one that writes the manifest.

    Its runs have one exposure a filter.
    """
    for name in ("Snakefile", "rules", "config", "envs", "profiles", "workflow_scripts"):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    (folder / "data").symlink_to(ROOT / "data")
    for script in (folder / "workflow_scripts").glob("*.py"):
        if script.stem != "write_manifest":
            script.write_text(STAND_IN)
    for table in (folder / "config/exposures").glob("*.ecsv"):
        lines = table.read_text().splitlines(keepends=True)
        table.write_text("".join(line for line in lines if not re.search(r" [2-9]\s*$", line)))
    return folder


def arguments(clone: Path, *more: object) -> list[str]:
    """Arguments of Snakemake for a run in the working directory."""
    return [
        "--snakefile", str(clone / "Snakefile"), "--cores", "2", "--logger", "tessella",
        "--configfile", str(clone / "config/minimal.yaml"), *map(str, more),
    ]  # fmt: skip


def killing(who: str, n: int, below: Path, group: bool = False) -> dict[str, str]:
    """Return an environment in which a process dies before its n-th change below a folder."""
    tests = ROOT / "tests"
    return {
        **os.environ,
        "PYTHONPATH": f"{tests}/survival/startup:{tests}:{os.environ.get('PYTHONPATH', '')}",
        "KILL": who,
        "KILL_BEFORE": str(n),
        "KILL_BELOW": str(below),
        **({"KILL_GROUP": "1"} if group else {}),
    }

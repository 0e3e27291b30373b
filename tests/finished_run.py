"""A finished run on a small window, small runs without pixels, and damage done to them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
CONFIG = ROOT / "config" / "minimal.yaml"
#: Folder of results below the working directory.
RUN = Path("results") / "minimal"
#: Stages of a calibration campaign alone (`calibration_campaign`), and those of this run.
CAMPAIGN_STAGES = {"measure_references", "write_library"}
STAGES = {path.stem for path in (ROOT / "workflow_scripts").glob("*.py")} - CAMPAIGN_STAGES
#: Guide windows are made on request.
STAGES -= {"write_guide_window"}


def arguments(*more: str, config: Path = CONFIG) -> list[str]:
    """Arguments of Snakemake for a run in the working directory, away from the clone."""
    return [
        "--snakefile", str(ROOT / "Snakefile"), "--cores", "2", "--rerun-incomplete",
        "--configfile", str(config), *more,
    ]  # fmt: skip


def make_run(folder: Path, config: Path = CONFIG) -> None:
    """Run the whole workflow in a folder."""
    asked = arguments("--directory", str(folder), config=config)
    command = [sys.executable, "-m", "snakemake", *asked]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def copy_of(work: Path, folder: Path, run: Path = RUN) -> Path:
    """Copy the working directory of a run, times of change kept; return its folder of results."""
    shutil.copytree(work, folder, dirs_exist_ok=True)
    return folder / run


def product(
    results: Path, name: str, content: str | bytes, *made_from: str, stage: str = "stage"
) -> Path:
    """Write a small product of a run; equal stage and inputs stand for one job."""
    from tessella.io.atomic import replacing
    from tessella.io.provenance import provenance

    made_by = provenance(stage, {}, [results / needed for needed in made_from])
    with replacing(results / name, made_by) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)
    return results / name


@contextmanager
def changed(path: Path, content: bytes | None) -> Iterator[None]:
    """Give a file another content, or none, for a while; it is afterwards as it was."""
    status, original = path.stat(), path.read_bytes()
    try:
        path.unlink() if content is None else path.write_bytes(content)
        yield
    finally:
        path.write_bytes(original)
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def flipped(content: bytes, bit: int) -> bytes:
    """Return the content with one bit the other way round."""
    array = bytearray(content)
    array[bit // 8] ^= 1 << bit % 8
    return bytes(array)

"""`tessella compare` tells the truth about a run whose sources were detected otherwise."""

import json
import subprocess
import sys

import pytest
from finished_run import RUN, arguments, copy_of


@pytest.fixture(scope="module")
def changed_run(minimal_run, tmp_path_factory):
    """Folder of results of a copy whose sources were detected at another threshold."""
    folder = tmp_path_factory.mktemp("other threshold")
    results = copy_of(minimal_run, folder)
    overlay = folder / "overlay.yaml"
    overlay.write_text("detect: {threshold_sigma: 6.0}\n")
    (catalog,) = results.glob("level4/*_cat.parquet")
    target = str(catalog.relative_to(folder))
    command = [sys.executable, "-m", "snakemake", *arguments(str(overlay), "--", target)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return results


def compare(*words):
    return subprocess.run(
        [sys.executable, "-m", "tessella", "compare", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_copy_has_the_same_bits(minimal_run, tmp_path):
    done = compare(minimal_run / RUN, copy_of(minimal_run, tmp_path / "copy"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.splitlines()[2].startswith("Same bits: all")


def test_one_option_explains_the_changes_of_the_catalog(minimal_run, changed_run, tmp_path):
    files = "--json", tmp_path / "all.json", "--plot", tmp_path / "changes.png"
    done = compare(minimal_run / RUN, changed_run, *files)
    assert done.returncode == 1, done.stdout + done.stderr
    why = done.stdout.split("\nWhat\n")[0].split("\nWhy\n")[1]
    assert why.splitlines()[:2] == [
        "  detect_sources: option threshold_sigma 5.0 -> 6.0",
        "    explains all 4: 1 segmentation map, 2 tables of a band, 1 catalog",
    ]
    found = json.loads((tmp_path / "all.json").read_text())
    assert len(found["effects"]) == 1
    assert all(name.startswith("level4/") for name in found["differing"])
    (sources,) = (d["sources"] for d in found["differences"] if d["name"].endswith("_cat.parquet"))
    # A higher threshold finds fewer sources; those that stay are the same ones, deblended anew.
    assert sources["n_b"] < sources["n_a"]
    assert sources["n_matched"] > 0.8 * sources["n_b"]
    assert (tmp_path / "changes.png").read_bytes().startswith(b"\x89PNG")

"""Exposures depend on those before them only where persistence is switched on."""

import shutil

from .conftest import ROOT, jobs_of, snakemake

ON = """
calibrate:
  persistence: {threshold_electrons_per_s: 0.05, subtract: false, full_well_electrons: 1.1e+5}
"""


def states(small, work, *overlays):
    """Return the states that the jobs of each rule read and write, in the order of exposures."""
    done = snakemake("-n", "--configfile", small, *overlays, cwd=work)
    assert done.returncode == 0, done.stderr
    found = {"simulate_exposure": [], "calibrate_exposure": []}
    for job in sorted(jobs_of(done.stdout), key=lambda job: job.outputs[:1]):
        held = [
            [path for path in paths if path.endswith("_persistence.asdf")]
            for paths in (job.inputs, job.outputs)
        ]
        assert job.rule in found or held == [[], []]
        if job.rule in found:
            found[job.rule].append(held)
    assert [len(jobs) for jobs in found.values()] == [3, 3]
    return found


NONE = [[[], []]] * 3


def chain(first, second, third):
    return [[[], [first]], [[first], [second]], [[second], [third]]]


def test_off_exposures_know_nothing_of_each_other(small, tmp_path):
    assert states(small, tmp_path) == {"simulate_exposure": NONE, "calibrate_exposure": NONE}


def test_on_exposures_of_a_detector_are_a_chain(small, tmp_path):
    (tmp_path / "on.yaml").write_text(ON)
    names = ("1001001_0001_wfi01_f106", "1001001_0002_wfi01_f106", "1002001_0001_wfi01_f158")
    paths = [f"results/small/level2/r000010100100{name}_persistence.asdf" for name in names]
    assert states(small, tmp_path, "on.yaml") == {
        "simulate_exposure": NONE,
        "calibrate_exposure": chain(*paths),
    }


def test_simulated_exposures_are_a_chain_where_their_detector_has_persistence(small, tmp_path):
    folder = shutil.copytree(ROOT / "config/detectors", tmp_path / "detectors")
    simulated = folder / "simulated.yaml"
    simulated.write_text(simulated.read_text().replace("ratio: 0.0", "ratio: 1.0"))
    (tmp_path / "on.yaml").write_text("references: {states: detectors}\n")
    names = ("1001001_0001", "1001001_0002", "1002001_0001")
    paths = [
        f"results/small/simulation/r000010100100{name}_wfi01_persistence.asdf" for name in names
    ]
    assert states(small, tmp_path, "on.yaml") == {
        "simulate_exposure": chain(*paths),
        "calibrate_exposure": NONE,
    }

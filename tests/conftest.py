"""Small exposures that tests of all folders share."""

from pathlib import Path

import calibration_campaign
import exposures
import finished_run
import pytest

#: Folders whose tests share whole runs.
OF_RUNS = {"end_to_end", "survival"}


@pytest.hookimpl(tryfirst=True)  # before the plugin that shares them out reads the groups
def pytest_collection_modifyitems(items):
    """Have one process take all tests of a file; those of whole runs, the longest, come first."""
    items.sort(key=lambda item: item.path.parent.name not in OF_RUNS)
    for item in items:
        of_runs = item.path.parent.name in OF_RUNS
        together = "runs" if of_runs else str(item.path.relative_to(Path(__file__).parents[1]))
        item.add_marker(pytest.mark.xdist_group(together))


@pytest.fixture(scope="session")
def state():
    """A detector with all its faults."""
    return exposures.STATE


@pytest.fixture(scope="session")
def maps(state):
    """What its pixels are like."""
    return exposures.draw_maps(state, exposures.DETECTOR, exposures.WINDOW)


@pytest.fixture(scope="session")
def references(state, maps):
    """Noisy measurements of them, by type."""
    return exposures.make_references(state, maps)


@pytest.fixture(scope="session")
def ramp(state, maps):
    """A Level 1 exposure of sky and stars; its arrays cannot be written to."""
    return exposures.make_ramp(state, maps)


@pytest.fixture(scope="session")
def minimal_run(tmp_path_factory):
    """Working directory of a finished run of config/minimal.yaml; its files stay as they are."""
    folder = tmp_path_factory.mktemp("whole run")
    finished_run.make_run(folder)
    return folder


@pytest.fixture(scope="session")
def campaign_run(tmp_path_factory):
    """Working directory of a finished calibration campaign; its files stay as they are."""
    folder = tmp_path_factory.mktemp("campaign")
    calibration_campaign.make_run(folder)
    return folder

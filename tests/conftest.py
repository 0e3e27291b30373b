"""Small exposures that tests of all folders share."""

import fcntl
import os

import calibration_campaign
import exposures
import finished_run
import pytest

#: Folders whose tests share whole runs.
OF_RUNS = {"end_to_end", "survival"}


def pytest_collection_modifyitems(items):
    """Have the tests that take the longest come first: several processes then end together."""
    items.sort(key=lambda item: item.path.parent.name not in OF_RUNS)


def made_once(tmp_path_factory, name, make):
    """Return a folder that one of the processes of this session makes, for all of them."""
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    folder, done = root / name, root / f"{name} is made"
    with (root / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            folder.mkdir()
            make(folder)
            done.touch()
    return folder


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
    return made_once(tmp_path_factory, "whole run", finished_run.make_run)


@pytest.fixture(scope="session")
def campaign_run(tmp_path_factory):
    """Working directory of a finished calibration campaign; its files stay as they are."""
    return made_once(tmp_path_factory, "campaign", calibration_campaign.make_run)

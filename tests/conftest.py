"""Small exposures that tests of all folders share."""

import calibration_campaign
import exposures
import finished_run
import pytest


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

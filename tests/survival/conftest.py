"""Runs without pixels, whose every write and seal is real."""

import calibration_campaign as campaign
import finished_run
import pytest
from survival import runs, stages


@pytest.fixture(scope="session")
def clone(tmp_path_factory):
    """A clone with stand-ins for the stages."""
    return stages.make_clone(tmp_path_factory.mktemp("a clone"))


@pytest.fixture(scope="session")
def arguments(clone):
    """Arguments of Snakemake for a run of it."""
    return stages.arguments(clone)


@pytest.fixture(scope="session")
def unbroken(arguments, tmp_path_factory):
    """Working directory of an unbroken run of it."""
    work = tmp_path_factory.mktemp("unbroken")
    runs.finish(runs.snakemake(*arguments), work)
    return work


@pytest.fixture(scope="session")
def expected(unbroken):
    """Its products."""
    return runs.products_of(unbroken)


@pytest.fixture(scope="session")
def minimal_jobs(minimal_run):
    """The minimal run, one job a stage."""
    asked = finished_run.arguments()
    commands = runs.stage_commands(asked, minimal_run, finished_run.STAGES)
    assert commands.keys() == finished_run.STAGES
    return runs.Studied(minimal_run, finished_run.RUN, commands)


@pytest.fixture(scope="session")
def campaign_jobs(campaign_run):
    """A calibration campaign, one job of each stage that the minimal run has not."""
    asked = campaign.arguments(campaign_run)
    commands = runs.stage_commands(asked, campaign_run, finished_run.CAMPAIGN_STAGES)
    assert commands.keys() == finished_run.CAMPAIGN_STAGES
    return runs.Studied(campaign_run, campaign.RUN, commands, ("write_library",))


@pytest.fixture(params=["minimal_jobs", "campaign_jobs"])
def studied(request):
    """A finished run, and jobs of it to be studied."""
    return request.getfixturevalue(request.param)

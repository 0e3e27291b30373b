"""Runs without pixels, whose every write and seal is real."""

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

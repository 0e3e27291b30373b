"""References as the rule asks for them, by their names."""

import exposures
import pytest
import roman_datamodels as rdm

from tessella.errors import DataError
from tessella.run.references import write_references

STATES = (exposures.STATE, "test", "WFI01", exposures.WINDOW, "2026-01-01T00:00:00", 1.0, {})


def test_files_are_made_of_the_type_and_filter_in_their_names(tmp_path):
    paths = [
        tmp_path / f"wfi01_{name}.asdf"
        for name in (
            "gain",
            "mask",
            "flat_f106",
            "flat_f158",
            "photom",
            "darkdecaysignal",
            "inverselinearity",
            "integralnonlinearity",
        )
    ]
    write_references(paths, *STATES)
    for path in paths:
        with rdm.open(path) as model:
            assert model.validate() is None
            assert model.meta.reftype.lower() == path.stem.split("_")[1]
            assert model.meta.pedigree == "SIMULATION"
    with rdm.open(paths[2]) as model:
        assert model.meta.instrument.optical_element == "F106"


def test_type_that_cannot_be_made_is_refused(tmp_path):
    with pytest.raises(DataError, match="'persat'"):
        write_references([tmp_path / "wfi01_persat.asdf"], *STATES)
    assert not list(tmp_path.iterdir())

"""A table of references from a CRDS cache."""

import crds_cache
import pytest
import roman_datamodels.datamodels as rdm

from tessella.cli import main
from tessella.io.asdf_files import save_model
from tessella.io.seals import sha256
from tessella.models import ExposureKey, PlannedExposure
from tessella.plan.selection import read_reference_table, select

KINDS = {"dark": rdm.DarkRefModel, "flat": rdm.FlatRefModel, "gain": rdm.GainRefModel}


@pytest.fixture
def cache(tmp_path):
    """A cache {with braces} that lacks some files."""
    folder = tmp_path / "crds {cache}"
    crds_cache.write_mappings(folder)
    place = folder / "references/roman/wfi"
    for kind, numbers in {"dark": (1, 2, 3, 5), "flat": (1, 2), "gain": (1,)}.items():
        for number in numbers:
            model = KINDS[kind].create_fake_data(shape=(8, 8))
            model.meta.pedigree = "GROUND"
            save_model(model, place / crds_cache.file_of(kind, number), {})
    return folder


def imported(cache, tmp_path, *more):
    table = tmp_path / "my_references.tsv"
    words = ["import-references", str(cache), "--context", "roman_0046.pmap", "--table", str(table)]
    return main([*words, *more]), table


def exposure(start, element="F158", number=1007):
    key = ExposureKey(1, 1, 1, 1, 1, 1, 1)
    return PlannedExposure(key, element, number, start, 12.0, 85.0, 0.0)


@pytest.mark.parametrize("detector", ["WFI01", "WFI02"])
@pytest.mark.parametrize("start", ["2027-07-01T00:00:00", "2028-07-01T00:00:00"])
@pytest.mark.parametrize("number", [3, 1007])
def test_selection_from_the_table_is_that_of_crds(cache, tmp_path, detector, start, number):
    done, table = imported(cache, tmp_path)
    assert done == 0
    planned = exposure(start, number=number)
    chosen = select(read_reference_table(table), ("dark", "flat", "gain"), detector, planned)
    asked = {"D": detector, "E": "F158", "T": "WFI_IMAGE", "M": str(number), "start": start}
    for kind, row in chosen.items():
        file = cache / "references/roman/wfi" / crds_cache.choose(kind, asked)
        assert row.file_for(detector, planned) == str(file)
        there = file.is_file()
        assert row.sha256 == (sha256(file) if there else "-")
        assert row.pedigree == ("GROUND" if there else "-")
        assert row.version == file.stem[-4:]


def test_what_is_left_out_and_what_the_cache_lacks_is_said(cache, tmp_path, capsys):
    _, table = imported(cache, tmp_path)
    said = capsys.readouterr().out
    assert "left out: skycells: tessella does not use it" in said
    assert "left out: saturation: roman_wfi_saturation_0001.rmap: the key '(WFI0[23])'" in said
    assert "left out: linearity: the context says N/A" in said
    assert "not in the context: mask, which tessella needs" in said
    assert "not in the cache: 3 of 7 files of dark: roman_wfi_dark_0004.asdf" in said
    assert "not in the cache: 1 of 2 files of gain: roman_wfi_gain_0002.asdf\n" in said
    missing = {line for line in table.read_text().splitlines() if line.startswith("# Not in")}
    assert "# Not in the cache: roman_wfi_dark_0007.asdf" in missing
    assert len(missing) == 3 + 2 + 1 + 1


def test_damaged_reference_is_named(cache, tmp_path, capsys):
    damaged = cache / "references/roman/wfi/roman_wfi_gain_0001.asdf"
    damaged.write_bytes(damaged.read_bytes()[:200])
    done, table = imported(cache, tmp_path)
    assert (done, table.exists()) == (1, False)
    assert "roman_wfi_gain_0001.asdf: truncated" in capsys.readouterr().err


def test_cache_without_anything_that_is_used_is_refused(cache, tmp_path, capsys):
    imap = cache / "mappings/roman/roman_wfi_0040.imap"
    imap.write_text("header = {}\nselector = {'SKYCELLS': 'roman_wfi_skycells_0001.rmap'}\n")
    assert imported(cache, tmp_path)[0] == 1
    assert "none of the references that tessella uses" in capsys.readouterr().err

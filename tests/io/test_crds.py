"""A CRDS cache folder in its layouts."""

import crds_cache
import pytest

from tessella.errors import DataError
from tessella.io.crds import find_reference, place_of, read_context

WANTED = ("dark", "flat", "gain", "darkdecaysignal", "saturation", "linearity")


@pytest.mark.parametrize("under", ["mappings/roman", "mappings", "."])
def test_context_is_read_in_every_layout(tmp_path, under):
    crds_cache.write_mappings(tmp_path / "cache", under)
    context = read_context(tmp_path / "cache", "roman_0046.pmap", WANTED)
    assert sorted(context.rows) == ["dark", "darkdecaysignal", "flat", "gain"]
    assert sorted(context.left_out) == ["linearity", "saturation", "skycells"]
    assert "expression" in context.left_out["saturation"]
    assert context.left_out["linearity"] == "the context says N/A"
    assert context.left_out["skycells"] == "tessella does not use it"


@pytest.mark.parametrize(
    "folder", ["references/roman/wfi", "references/roman", "references/wfi", "references", "."]
)
def test_references_are_found_in_every_layout(tmp_path, folder):
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / folder / "a.asdf").write_text("")
    assert find_reference(tmp_path, "a.asdf") == tmp_path / folder / "a.asdf"
    assert find_reference(tmp_path, "b.asdf") is None
    expected = tmp_path if folder == "." else tmp_path / folder
    assert place_of(tmp_path, "b.asdf") == expected / "b.asdf"


def test_missing_mappings_are_named_with_those_that_are_there(tmp_path):
    with pytest.raises(DataError, match=r"no \.pmap files in mappings/roman"):
        read_context(tmp_path, "roman_0046.pmap", WANTED)
    crds_cache.write_mappings(tmp_path)
    with pytest.raises(DataError, match=r"roman_0047\.pmap: no such .* has roman_0046\.pmap"):
        read_context(tmp_path, "roman_0047.pmap", WANTED)
    (tmp_path / "mappings/roman/roman_wfi_gain_0001.rmap").unlink()
    with pytest.raises(DataError, match=r"roman_wfi_gain_0001\.rmap: no such file"):
        read_context(tmp_path, "roman_0046.pmap", WANTED)


def test_context_of_another_instrument_is_refused(tmp_path):
    crds_cache.write_mappings(tmp_path)
    path = tmp_path / "mappings/roman/roman_0046.pmap"
    path.write_text(path.read_text().replace("'WFI'", "'CGI'"))
    with pytest.raises(DataError, match="no mapping of WFI; it has CGI"):
        read_context(tmp_path, "roman_0046.pmap", WANTED)

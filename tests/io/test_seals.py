"""A product is what its seal says, or is refused by name."""

import hashlib
import shutil

import pytest
from finished_run import changed, flipped, product

from tessella.errors import DataError
from tessella.io import seals
from tessella.io.asdf_files import open_roman
from tessella.io.runs import RUN_FILE, run_of, start_run
from tessella.io.seals import Broken, read_seal, sha256

NAME = "level2/a.json"


@pytest.fixture
def results(tmp_path, monkeypatch):
    """A run with two products, that this process has not read yet."""
    folder = tmp_path / "results"
    start_run(folder)
    product(folder, NAME, "some content")
    product(folder, "level2/b.json", "other content", NAME)
    monkeypatch.setattr(seals, "_seen", {})
    return folder


def refused(path, **how):
    with pytest.raises(Broken) as found:
        sha256(path, **how)
    assert str(path) in str(found.value)
    assert "\n" not in str(found.value)
    return found.value.kind


@pytest.mark.parametrize("which", [NAME, f"seals/{NAME}.json"])
def test_flipped_bits_of_a_product_and_of_its_seal_are_found(results, which):
    original = (results / which).read_bytes()
    for bit in range(0, 8 * len(original), 1 if len(original) < 100 else 11):
        with changed(results / which, flipped(original, bit)):
            assert refused(results / NAME) == "damaged"


def test_every_flipped_bit_of_the_mark_of_a_run_is_found(results):
    mark = results / RUN_FILE
    original = mark.read_bytes()
    for bit in range(8 * len(original)):
        with changed(mark, flipped(original, bit)), pytest.raises(DataError, match=mark.name):
            sha256(results / NAME)


@pytest.mark.parametrize("length", [0, 1, -1])
@pytest.mark.parametrize("which", [NAME, f"seals/{NAME}.json"])
def test_truncation_is_found(results, which, length):
    with changed(results / which, (results / which).read_bytes()[:length]):
        assert refused(results / NAME) == "damaged"


def test_longer_file_is_found(results):
    with changed(results / NAME, b"some content and more"):
        assert refused(results / NAME) == "damaged"


def test_lost_product_and_lost_seal_are_told_apart(results):
    with changed(results / NAME, None):
        assert refused(results / NAME) == "missing"
    with changed(results / f"seals/{NAME}.json", None):
        assert refused(results / NAME) == "unsealed"


def test_seal_of_another_product_is_found(results):
    other = (results / "seals/level2/b.json.json").read_bytes()
    with changed(results / f"seals/{NAME}.json", other):
        assert refused(results / NAME) == "swapped"


def test_product_of_another_run_is_found_even_with_its_seal(results, tmp_path):
    start_run(tmp_path / "other")
    other = product(tmp_path / "other", NAME, "their content")
    with changed(results / NAME, other.read_bytes()):
        assert refused(results / NAME) == "damaged"
        seal = tmp_path / "other" / "seals" / f"{NAME}.json"
        with changed(results / f"seals/{NAME}.json", seal.read_bytes()):
            assert refused(results / NAME) == "foreign"


def test_product_that_is_made_again_alike_has_the_same_seal(results):
    before = (results / f"seals/{NAME}.json").read_bytes()
    product(results, NAME, "some content")
    assert (results / f"seals/{NAME}.json").read_bytes() == before


def test_inputs_of_another_run_are_named_as_files_from_elsewhere(results, tmp_path):
    start_run(tmp_path / "other")
    product(tmp_path / "other", "level0/x.l0", "packets")
    product(results, "level1/x.asdf", "ramps", NAME, str(tmp_path / "other/level0/x.l0"))
    made_from = read_seal(run_of(results / NAME), "level1/x.asdf").made_by["made_from"]
    assert [entry["name"] for entry in made_from] == [NAME, "x.l0"]


def test_file_outside_of_a_run_has_no_seal(tmp_path):
    product(tmp_path, "a.json", "content")
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]
    assert sha256(tmp_path / "a.json")


def test_head_is_checked_without_the_arrays_and_with_them(results):
    path = results / "level2/image_cal.asdf"
    content = b"#ASDF 1.0.0\nmeta: 1\n...\n" + b"\xd3BLK" + bytes(100)
    product(results, "level2/image_cal.asdf", content)
    with changed(path, flipped(content, 8 * 14)):
        assert refused(path, head_only=True) == refused(path) == "damaged"
    with changed(path, flipped(content, 8 * (len(content) - 5))):
        assert sha256(path, head_only=True) == hashlib.sha256(content).hexdigest()
        assert refused(path) == "damaged"


def test_process_reads_a_file_for_this_once(results, monkeypatch):
    read = []
    monkeypatch.setattr(seals, "check", lambda *args: read.append(args))
    assert sha256(results / NAME) == sha256(results / NAME, head_only=True)
    assert len(read) == 1


def test_official_file_under_the_name_of_another_is_refused(results):
    asdf = pytest.importorskip("asdf")
    first, second = results / "level2/one_cal.asdf", results / "level2/two_cal.asdf"
    for path in (first, second):
        part = path.with_suffix(".part")
        asdf.AsdfFile({"roman": {"meta": {"filename": "one_cal.asdf"}}}).write_to(part)
        seals.write_seal(run_of(path), run_of(path).name_of(path), part, {})
        shutil.move(part, path)
    with open_roman(first) as roman:
        assert roman["meta"]["filename"] == first.name
    with pytest.raises(Broken, match="swapped: inside it is called one_cal"), open_roman(second):
        pass

import json
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from tessella.config import load
from tessella.errors import DataError
from tessella.plan import build
from tessella.plan.build import (
    find_file,
    load_plan,
    make_plan,
    middle_of_tiles,
    plan_path,
    read_plan,
)
from tessella.plan.checks import check_inputs
from tessella.plan.selection import reference_types

ROOT = Path(__file__).parents[2]


def config(tmp_path, **changes):
    values = yaml.safe_load((ROOT / "config/default.yaml").read_text())
    demo = yaml.safe_load((ROOT / "config/demo.yaml").read_text())
    for name, value in (demo | {"results": str(tmp_path / "results")} | changes).items():
        values[name] = values[name] | value if isinstance(values[name], dict) else value
    return load(values, [])


@pytest.fixture
def count(monkeypatch):
    """Count how often a plan is made anew."""
    made = []
    monkeypatch.setattr(build, "make_plan", lambda *args: made.append(1) or make_plan(*args))
    return made


def test_plan_that_is_kept_equals_the_plan_made(tmp_path):
    cfg = config(tmp_path)
    kept = load_plan(cfg, ROOT)
    made = make_plan(cfg, ROOT)
    assert kept.exposures == made.exposures
    assert asdict(kept) == asdict(load_plan(cfg, ROOT))
    assert kept.selected == made.selected


def test_plan_is_made_once(tmp_path, count):
    for _ in range(2):
        load_plan(config(tmp_path), ROOT)
    assert len(count) == 1


def test_damaged_plan_is_made_anew(tmp_path, count):
    whole = load_plan(config(tmp_path), ROOT)
    (path,) = (tmp_path / "results").rglob("plan/*.json")
    content = bytearray(path.read_bytes())
    for place in (3, 1000, len(content) - 1):
        damaged = content.copy()
        damaged[place] ^= 2
        path.write_bytes(damaged)
        assert load_plan(config(tmp_path), ROOT) == whole
    assert len(count) == 4


def test_plan_does_not_depend_on_options_of_stages(tmp_path, count):
    load_plan(config(tmp_path), ROOT)
    load_plan(config(tmp_path, measure={"background_box_pixels": 99}), ROOT)
    assert len(count) == 1
    load_plan(config(tmp_path, tile={"cutout_pixels": 2000}), ROOT)
    assert len(count) == 2
    # What an image may reach depends on how far it may be moved.
    load_plan(config(tmp_path, align={"search_radius_arcsec": 60.0}), ROOT)
    assert len(count) == 3


def test_plan_is_made_anew_when_the_exposure_table_changes(tmp_path, count):
    table = tmp_path / "exposures.ecsv"
    text = (ROOT / "config/exposures/demo.ecsv").read_text()
    table.write_text(text)
    cfg = config(tmp_path, exposures=str(table))
    assert len(load_plan(cfg, ROOT).exposures) == 12
    table.write_text("\n".join(text.splitlines()[:-1]))
    assert len(load_plan(cfg, ROOT).exposures) == 11
    assert len(count) == 2


def test_every_detector_of_every_exposure_has_its_references(tmp_path):
    several = config(tmp_path, detectors=["WFI01", "WFI02"], tile={"cutout_pixels": None})
    plan = load_plan(several, ROOT)
    assert len(plan.selected) == 24
    for name in plan.selected.values():
        expected = {*reference_types("WFI_IMAGE"), "integralnonlinearity", "distortion"}
        expected |= {"detectorstatus", "matable"}
        assert set(plan.selections[name].files) == expected


def with_table(tmp_path, edit):
    """Plan the demo with two detectors and an edited table of references."""
    table = tmp_path / "references.tsv"
    table.write_text(edit((ROOT / "config/references.tsv").read_text()))
    changes = {"detectors": ["WFI01", "WFI02"], "tile": {"cutout_pixels": None}}
    cfg = config(tmp_path, references={"table": str(table)}, **changes)
    return make_plan(cfg, ROOT)


def added(*cells):
    """Edit a table: one row more, with the cells of the shipped columns."""
    return lambda text: text + "\t".join(cells) + "\n"


def test_changed_row_changes_only_the_selections_that_use_it(tmp_path):
    before = with_table(tmp_path, lambda text: text)
    mine = ("2028-02-01T00:00:00", "1", "GROUND", "0" * 64, "/mine.asdf")
    after = with_table(tmp_path, added("flat", "WFI01", "F158", "ANY", "ANY", *mine))
    touched = {
        name
        for name, chosen in before.selections.items()
        if (chosen.detector, chosen.element) == ("WFI01", "f158")
    }
    assert touched
    assert set(before.selections) - set(after.selections) == touched
    for name in set(before.selections) - touched:
        assert after.selections[name] == before.selections[name]
    (new,) = set(after.selections) - set(before.selections)
    assert after.selections[new].files["flat"] == "/mine.asdf"
    assert after.selections[new].sha256 == {"flat": "0" * 64}


def test_comments_and_rows_that_are_not_used_change_no_selection(tmp_path):
    before = with_table(tmp_path, lambda text: text)
    later = added("flat", *["ANY"] * 4, "2099-01-01T00:00:00", "1", "DUMMY", "-", "x/a.asdf")
    after = with_table(tmp_path, lambda text: "# more\n" + later(text))
    assert after.selections == before.selections


def test_rows_of_one_version_more_change_the_context_alone(tmp_path):
    before = with_table(tmp_path, lambda text: text)
    after = with_table(tmp_path, lambda text: text.replace("\t1\tSIM", "\t2\tSIM"))
    files = [{frozenset(s.files.items()) for s in p.selections.values()} for p in (before, after)]
    assert files[0] == files[1]
    contexts = [{s.context for s in p.selections.values()} for p in (before, after)]
    # One table serves all detectors and filters of the demo with the same rows.
    assert len(contexts[0]) == len(contexts[1]) == 1
    assert contexts[0] != contexts[1]


def test_middle_of_the_demo_is_its_cluster(tmp_path):
    ra, dec = middle_of_tiles(load_plan(config(tmp_path), ROOT))
    assert abs(dec - 85.25) < 0.5
    assert 0 <= ra < 360


def typed(tmp_path, *rows):
    """Write an exposure table with types."""
    text = (ROOT / "config/exposures/calibration.ecsv").read_text()
    header = next(line for line in text.splitlines() if line.startswith("RA"))
    (tmp_path / "typed.ecsv").write_text("\n".join([header, *rows]) + "\n")
    return str(tmp_path / "typed.ecsv")


def test_images_alone_belong_to_tiles(tmp_path):
    rows = (
        "12.1 85.25 0.0 F158 3 120.0 1 1 1 1 1 1 WFI_IMAGE -",
        "12.1 85.25 0.0 F158 3 120.0 1 1 1 1 1 2 WFI_LOLO -",
        "12.1 85.25 0.0 F158 3 120.0 1 1 1 1 1 3 WFI_WFSC -",
        "12.1 85.25 0.0 GRISM 1034 120.0 1 1 1 1 1 4 - -",
        "12.1 85.25 0.0 F158 3 120.0 1 1 1 1 1 5 WFI_FLAT 300",
        "12.1 85.25 0.0 DARK 3 120.0 1 1 1 1 1 6 - -",
    )
    plan = make_plan(config(tmp_path, exposures=typed(tmp_path, *rows)), ROOT)
    assert len(plan.exposures) == len(plan.selected) == 6
    (tile,) = plan.tiles.values()
    assert [name[-4:] for name, _ in tile.members["F158"]] == ["0001", "0002"]
    assert load_plan(config(tmp_path, exposures=typed(tmp_path, *rows)), ROOT) == plan


def test_scene_without_tiles_lies_where_images_are(tmp_path):
    image = "12.1 85.25 0.0 F158 3 120.0 1 1 1 1 1 1 WFI_WFSC -"
    plan = make_plan(config(tmp_path, exposures=typed(tmp_path, image)), ROOT)
    assert not plan.tiles
    ra, dec = middle_of_tiles(plan)
    (attitude,) = next(iter(plan.exposures.values())).detectors.values()
    assert (ra, dec) == pytest.approx(attitude[:2])
    dark = "12.1 85.25 0.0 DARK 3 120.0 1 1 1 1 1 1 - -"
    with pytest.raises(DataError, match="no exposure of the run shows the sky"):
        middle_of_tiles(make_plan(config(tmp_path, exposures=typed(tmp_path, dark)), ROOT))


@pytest.mark.parametrize("source", ["level1", "telemetry"])
def test_folder_that_is_missing_or_empty_is_refused(tmp_path, source):
    key = f"{source}_folder"
    with pytest.raises(DataError, match=f"{key}: no such folder"):
        load_plan(config(tmp_path, source=source, **{key: str(tmp_path / "nowhere")}), ROOT)
    with pytest.raises(DataError, match=f"{key}: no "):
        load_plan(config(tmp_path, source=source, **{key: str(tmp_path)}), ROOT)
    assert not (tmp_path / "results").exists()


def test_shipped_files_are_found_from_anywhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_file("config/references.tsv", ROOT) == ROOT / "config/references.tsv"
    (tmp_path / "mine.tsv").touch()
    assert find_file("mine.tsv", ROOT) == Path("mine.tsv")


def test_detector_that_is_not_enabled_is_refused_before_the_first_job(tmp_path):
    path, table = tmp_path / "status.asdf", tmp_path / "references.tsv"
    status = {"WFI01": {"enabled": True}, "WFI02": {"enabled": False}}
    content = f"roman: {{status_info: {json.dumps(status)}}}"
    path.write_text(f"#ASDF 1.0.0\n%YAML 1.1\n---\n{content}\n...\n")
    text = (ROOT / "config/references.tsv").read_text()
    table.write_text(text.replace("simulated/{detector}_detectorstatus.asdf", str(path)))
    own = {"references": {"table": str(table)}}
    check_inputs(config(tmp_path, **own), make_plan(config(tmp_path, **own), ROOT), ROOT)
    both = config(tmp_path, detectors=["WFI01", "WFI02"], tile={"cutout_pixels": None}, **own)
    with pytest.raises(DataError, match=r"status\.asdf: WFI02 is not enabled; leave it out"):
        check_inputs(both, make_plan(both, ROOT), ROOT)


def grouped(tmp_path, **changes):
    """Plan the demo's first exposure and one of another visit, in groups."""
    rows = (
        "12.1 85.25 0.0 F158 3 120.0 1 1 1 1 1 1 - -",
        "12.1 85.25 1.0 F158 3 120.0 1 1 1 1 2 1 - -",
        "12.1 85.25 1.0 F106 3 120.0 1 1 1 1 2 2 - -",
    )
    groupings = {"made": ["full", "visit", "user"], "table": None, "cuts": []} | changes
    return config(tmp_path, exposures=typed(tmp_path, *rows), groupings=groupings)


def test_groups_have_tiles_and_patches_of_their_own(tmp_path):
    plan = make_plan(grouped(tmp_path), ROOT)
    assert [tile.grouping for tile in plan.tiles.values()] == [
        *("full", "v01001001001001", "v01001001001002", "user")
    ]
    assert {name.partition("_")[2] for name in plan.tiles} == {
        tile.lattice["skycell"] for tile in plan.tiles.values()
    }
    for name, tile in plan.tiles.items():
        patch = plan.patches[tile.patch]
        assert (patch.grouping, patch.tiles) == (tile.grouping, [name])
        assert patch.members == tile.members
    assert list(plan.tiles["v01001001001002_" + tile.lattice["skycell"]].members) == [
        "F158",
        "F106",
    ]
    assert not plan.excluded


def test_cuts_hold_for_their_groupings_alone_and_are_listed(tmp_path):
    cut = {"column": "PA", "minimum": None, "maximum": 0.5, "groupings": ["user"]}
    cfg = grouped(tmp_path, cuts=[cut])
    plan = load_plan(cfg, ROOT)
    sizes = {tile.grouping: sum(map(len, tile.members.values())) for tile in plan.tiles.values()}
    assert sizes == {"full": 3, "v01001001001001": 1, "v01001001001002": 2, "user": 1}
    assert [one.reason for one in plan.excluded] == ["PA 1 is above 0.5"] * 2
    assert read_plan(plan_path(cfg, ROOT)) == plan
    assert load_plan(cfg, ROOT) == plan


def test_plan_is_made_anew_when_the_table_of_quality_changes(tmp_path, count):
    table = tmp_path / "quality.tsv"
    name = "r0000101001001001001_0001"
    table.write_text(f"EXPOSURE FWHM\n{name} 100\n")
    cut = {"column": "FWHM", "minimum": None, "maximum": 120.0, "groupings": ["user"]}
    cfg = grouped(tmp_path, table=str(table), cuts=[cut])
    assert name not in {one.exposure for one in load_plan(cfg, ROOT).excluded}
    table.write_text(f"EXPOSURE FWHM\n{name} 140\n")
    assert name in {one.exposure for one in load_plan(cfg, ROOT).excluded}
    assert len(count) == 2
    table.write_text("EXPOSURE FWHM\nr0000101001001001001_0009 100\n")
    with pytest.raises(DataError, match=r"quality\.tsv: no row is of an image of this run"):
        load_plan(cfg, ROOT)
    table.unlink()
    with pytest.raises(DataError, match=r"'groupings\.table' names"):
        load_plan(cfg, ROOT)


def test_no_image_is_added_where_all_are_cut(tmp_path):
    cut = {"column": "PA", "minimum": 100.0, "maximum": None, "groupings": ["user"]}
    plan = make_plan(grouped(tmp_path, made=["user"], cuts=[cut]), ROOT)
    assert not plan.tiles
    assert not plan.patches
    assert len(plan.excluded) == 3


def test_middle_of_tiles_does_not_depend_on_groups(tmp_path):
    alone = make_plan(grouped(tmp_path, made=["full"]), ROOT)
    assert middle_of_tiles(make_plan(grouped(tmp_path), ROOT)) == middle_of_tiles(alone)


def test_absurd_plans_are_refused_by_name(tmp_path):
    rows = (
        "12.1 85.25 0.0 F158 3 120.0 1 1 1 1 1 1 - -",
        "12.1 45.25 0.0 F158 3 120.0 1 1 1 1 1 2 - -",
    )
    far = {"exposures": typed(tmp_path, *rows), "tile": {"cutout_pixels": None}}
    with pytest.raises(DataError, match=r"r0000101001001001001_0002 F158: WFI01 at .* lies 40\.0"):
        make_plan(config(tmp_path, **far), ROOT)
    far["tile"]["linking_deg"] = None
    assert len({p.region for p in make_plan(config(tmp_path, **far), ROOT).patches.values()}) > 1
    with pytest.raises(DataError, match=r"_0001: with full_\S+, which it falls on, .* gigapixels"):
        make_plan(config(tmp_path, tile={"cutout_pixels": 1_000_000}), ROOT)


def test_plan_of_before_a_planned_exposure_changed_is_not_taken(tmp_path, monkeypatch):
    cfg = config(tmp_path)
    before, read = plan_path(cfg, ROOT), Path.read_text

    def other(path, *arguments):
        return read(path, *arguments) + ("\n" if path.name == "models.py" else "")

    monkeypatch.setattr(Path, "read_text", other)
    assert plan_path(cfg, ROOT) != before

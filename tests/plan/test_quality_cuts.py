import pytest
from planned_exposures import exposure

from tessella.config_sections import Cut
from tessella.errors import DataError
from tessella.plan.quality_cuts import exclusions, lost_images, read_quality, refuse_foreign

ONE, TWO = exposure(1, 12.1), exposure(2, 12.1, element="F106")
ALL = {(one.name, "WFI01") for one in (ONE, TWO)}


def cut(column, minimum=None, maximum=None):
    return Cut(column=column, minimum=minimum, maximum=maximum, groupings=("user",))


def reasons(cuts, quality, covered=ALL):
    return {
        one.exposure: one.reason for one in exclusions("user", [ONE, TWO], cuts, quality, covered)
    }


def table(tmp_path, *lines):
    path = tmp_path / "quality.tsv"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_images_beyond_a_bound_are_left_out_with_the_reason():
    quality = {(ONE.name, None): {"FWHM": 131.0}, (TWO.name, "WFI01"): {"FWHM": 90.5}}
    found = exclusions("user", [ONE, TWO], [cut("FWHM", 91, 130)], quality, ALL)
    assert [vars(one) for one in found] == [
        dict(grouping="user", exposure=ONE.name, detector="WFI01", optical_element="F158",
             reason="FWHM 131 is above 130"),
        dict(grouping="user", exposure=TWO.name, detector="WFI01", optical_element="F106",
             reason="FWHM 90.5 is below 91"),
    ]  # fmt: skip


def test_bounds_themselves_pass():
    quality = {(one.name, None): {"FWHM": 130.0} for one in (ONE, TWO)}
    assert not reasons([cut("FWHM", 130, 130)], quality)


def test_image_of_unknown_quality_does_not_count_as_good():
    quality = {(ONE.name, None): {"FWHM": float("nan")}, ("r_of_another_run", None): {"FWHM": 1.0}}
    said = dict.fromkeys((ONE.name, TWO.name), "FWHM is not known")
    assert reasons([cut("FWHM", maximum=130)], quality) == said


def test_row_of_a_detector_goes_before_that_of_its_exposure():
    quality = {(ONE.name, None): {"FWHM": 1.0, "SKY": 5.0}, (ONE.name, "WFI01"): {"FWHM": 9.0}}
    said = reasons([cut("SKY", maximum=6), cut("FWHM", maximum=8)], quality)
    assert said[ONE.name] == "FWHM 9 is above 8"


def test_numbers_of_the_plan_can_be_cut_on():
    said = reasons([cut("START_MJD", minimum=61953.0), cut("PA", maximum=359)], {})
    # 2028-07-01 is MJD 61953.
    assert not said
    assert "below" in reasons([cut("START_MJD", minimum=61953.01)], {})[ONE.name]


def test_image_that_falls_on_no_tile_is_listed():
    assert reasons([], {}, covered={(ONE.name, "WFI01")}) == {TWO.name: "it falls on no tile"}


def test_column_that_is_not_there_is_refused():
    with pytest.raises(DataError, match=r"no column FWMH; there are FWHM, PA, START_MJD"):
        reasons([cut("FWMH", maximum=1)], {(ONE.name, None): {"FWHM": 1.0}})


def test_images_that_no_star_places_are_listed_in_each_group_of_their_region():
    members = [
        (group, region, one.name, "WFI01", one.optical_element)
        for group in ("full", "user")
        for region in ("0007", "0007", "0008")
        for one in (ONE, TWO)
    ]
    left_out = {"0007": {f"{ONE.name}_wfi01_f158": "not aligned"}, "0008": {}}
    assert [(one.grouping, one.exposure, one.reason) for one in lost_images(members, left_out)] == [
        ("full", ONE.name, "region 0007: not aligned"),
        ("user", ONE.name, "region 0007: not aligned"),
    ]


def test_table_is_read_with_or_without_detectors(tmp_path):
    exposures = read_quality(table(tmp_path, "# about", "EXPOSURE,FWHM", f"{ONE.name},1.5"))
    assert exposures == {(ONE.name, None): {"FWHM": 1.5}}
    path = table(tmp_path, "EXPOSURE DETECTOR FWHM SKY", f"{ONE.name} wfi02 - 3")
    (key,), (values,) = read_quality(path).keys(), read_quality(path).values()
    assert key == (ONE.name, "WFI02")
    assert values["SKY"] == 3
    assert values["FWHM"] != values["FWHM"]


def test_table_of_another_run_is_refused():
    row = {"FWHM": 1.0}
    other = {(f"{ONE.name}_wfi01", None): row}
    with pytest.raises(
        DataError, match=rf"q\.tsv: no row is .* of {ONE.name}_wfi01, and .*{ONE.name};"
    ):
        refuse_foreign("q.tsv", other, [TWO, ONE])
    with pytest.raises(DataError, match="WFI02"):
        refuse_foreign("q.tsv", {(ONE.name, "WFI02"): row}, [ONE])
    with pytest.raises(DataError, match="the first is of none"):
        refuse_foreign("q.tsv", {}, [ONE])
    # A table may hold other runs as well, and a run of darks has no image.
    for key in ((ONE.name, None), (ONE.name, "WFI01")):
        refuse_foreign("q.tsv", other | {key: row}, [ONE, TWO])
    refuse_foreign("q.tsv", other, [])


@pytest.mark.parametrize(
    ("lines", "complaint"),
    [
        ((), "no table"),
        (("NAME FWHM", "a 1"), "line 1: column EXPOSURE is missing"),
        (("EXPOSURE FWHM", "a 1 2"), "line 2: 3 values for 2 columns"),
        (("EXPOSURE FWHM", "a 1", "a 2"), "line 3: a stands in the table twice"),
        (("EXPOSURE FWHM", "a good"), "line 2, column FWHM: 'good' is not a number"),
    ],
)
def test_fault_of_the_table_is_named(tmp_path, lines, complaint):
    with pytest.raises(DataError, match=complaint):
        read_quality(table(tmp_path, *lines))


def test_missing_table_is_named(tmp_path):
    with pytest.raises(DataError, match=r"'groupings\.table' names the table of quality"):
        read_quality(tmp_path / "nowhere.tsv")

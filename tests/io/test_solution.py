"""Solutions: what is written is read, and known by its content."""

from dataclasses import replace

import h5py
import numpy as np
import pytest

from tessella.errors import DataError
from tessella.io.solution import Solution, SolvedInput, read_solution, write_solution
from tessella.models import WcsCorrection

LATTICE = {"ra_tangent": 30.0, "nx": 40, "ny": 50}


def an_input(name="r1_wfi01_f158", outliers=(3, 70, 99)):
    return SolvedInput(
        name=name,
        image_sha256="a" * 64,
        wcs_sha256="b" * 64,
        optical_element="F158",
        shape=(10, 10),
        correction=WcsCorrection(1e-3, -2e-3, 1e-7, 0.0, 2e-7, 1 / 3),
        wcs_status="solved",
        n_stars=70,
        rms_mas=1.2,
        exposure_time=140.0,
        conversion=0.6,
        nodes=np.arange(50.0).reshape(5, 5, 2) / 3,
        interpolation_error=1e-7,
        level=0.1 + 0.2,
        slope_x=1e-5,
        slope_y=-1e-5,
        weight=123.4,
        n_shared_blocks=12,
        component=0,
        n_undecided=7,
        outliers=np.array(outliers, np.int32),
    )


def without_arrays(item):
    return replace(item, outliers=None, nodes=None)


@pytest.fixture
def solution():
    inputs = (an_input(), an_input("r0_wfi02_f158", ()))
    return Solution("full_2734x06y06", "F158", {"snr": [5.0, 4.0]}, LATTICE, inputs)


def test_what_is_written_is_read(tmp_path, solution):
    write_solution(tmp_path / "a.h5", solution, {})
    found = read_solution(tmp_path / "a.h5")
    assert found.id == solution.id
    assert [item.name for item in found.inputs] == ["r1_wfi01_f158", "r0_wfi02_f158"]
    for one, other in zip(found.inputs, solution.inputs, strict=True):
        np.testing.assert_array_equal(one.outliers, other.outliers)
        np.testing.assert_array_equal(one.nodes, other.nodes)
        assert without_arrays(one) == without_arrays(other)
    assert replace(found, inputs=()) == replace(solution, inputs=())


def test_equal_solutions_are_equal_bytes_wherever_they_lie(tmp_path, solution):
    (tmp_path / "elsewhere").mkdir()
    paths = tmp_path / "a.h5", tmp_path / "elsewhere" / "b.h5"
    for path in paths:
        write_solution(path, solution, {})
    assert paths[0].read_bytes() == paths[1].read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        {"level": 0.3},
        {"slope_y": 0.0},
        {"weight": 1.0},
        {"image_sha256": "c" * 64},
        {"correction": WcsCorrection()},
        {"outliers": np.array([3, 70], np.int32)},
        {"nodes": np.zeros((5, 5, 2))},
    ],
)
def test_id_is_that_of_the_content(solution, change):
    changed = replace(solution.inputs[0], **change)
    assert changed.id != solution.inputs[0].id
    other = replace(solution, inputs=(changed, solution.inputs[1]))
    assert other.id != solution.id


def test_order_of_inputs_belongs_to_the_id(solution):
    assert replace(solution, inputs=solution.inputs[::-1]).id != solution.id


def test_changed_content_is_refused(tmp_path, solution):
    write_solution(tmp_path / "a.h5", solution, {})
    with h5py.File(tmp_path / "a.h5", "r+") as file:
        file["inputs/000000"].attrs["level"] = 0.5
    with pytest.raises(DataError, match="damaged"):
        read_solution(tmp_path / "a.h5")


def test_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "a.h5").write_text("nothing")
    with pytest.raises(DataError, match="no readable solution"):
        read_solution(tmp_path / "a.h5")


@pytest.mark.parametrize("outliers", [(5, 4), (4, 4), (-1, 4), (4, 100)])
def test_outliers_that_are_no_pixels_in_order_are_refused(tmp_path, solution, outliers):
    wrong = replace(solution, inputs=(an_input(outliers=outliers),))
    with pytest.raises(ValueError, match="ascending order"):
        write_solution(tmp_path / "a.h5", wrong, {})

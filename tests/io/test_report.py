import json

import numpy as np
import pytest
from astropy.table import Table
from matplotlib.image import imread

from tessella.errors import DataError
from tessella.io import report_inputs
from tessella.io.report import Page, write_page, write_summary, write_times
from tessella.io.report_inputs import read_job_times, read_sky
from tessella.io.report_plots import plot_all, write_colour
from tessella.io.report_sections import judged
from tessella.io.stars import write_truth
from tessella.quality.against_truth import FluxSample
from tessella.quality.samples import SkyApertures
from tessella.quality.summary import Assessment, Offsets, assess, summarize
from tessella.quality.timing import JobTime
from tessella.randomness import generator
from tessella.simulate.scene import empty_rows


def without_truth() -> tuple[Assessment, dict[str, SkyApertures]]:
    rng = generator("test report")
    sky = {name: SkyApertures(rng.normal(size=200), np.full(200, 9.0)) for name in ("F158", "F106")}
    nowhere = np.empty(0)
    from tessella.quality.samples import Sources

    return assess(None, Sources(nowhere, nowhere, {}, {}), sky, [], []), sky


def test_page_is_one_file_with_everything_in_it(tmp_path):
    found, sky = without_truth()
    rng = generator("test report plots")
    flux = FluxSample(
        np.geomspace(1e2, 1e4, 50), np.geomspace(1e2, 1e4, 50) + rng.normal(size=50), np.ones(50)
    )
    offsets = Offsets(
        rng.normal(300, 1, (20, 2)), rng.normal(size=(20, 2)), rng.normal(size=(20, 2))
    )
    full = Assessment(found.figures, found.details, {"F158": flux}, offsets, offsets)
    plots = plot_all(full, sky, *(tmp_path / f"{name}.png" for name in "abcd"), {})
    planes = {name: rng.normal(size=(40, 50)) for name in ("F106", "F129", "F158")}
    write_colour(tmp_path / "sky.png", planes, {})
    verdict = {
        "exposure": "r1 <b>",
        "detector": "WFI01",
        "outcome": "failed",
        "reason": "x",
        "file": "r_cal.asdf",
    }
    summary = summarize(found, 12, 34, {"received": 5, "used": 5}, None)
    page = Page("demo", [tmp_path / "sky.png"], plots, [verdict], [("r", "aligned")], "t.html")
    write_page(tmp_path / "report.html", page, summary, {})
    text = (tmp_path / "report.html").read_text()
    assert text.count("data:image/png;base64,") == 5
    for outside in ("http:", "https:", "src='", "<link", "<script"):
        assert outside not in text
    assert "r1 &lt;b&gt;" in text
    assert "not measured" in text
    assert "Telemetry packets" in text
    assert 'href="t.html"' in text


def test_reports_without_truth_are_drawn(tmp_path):
    found, sky = without_truth()
    for path, _ in plot_all(found, sky, *(tmp_path / f"{name}.png" for name in "abcd"), {}):
        assert imread(path).ndim == 3


def test_north_is_up_and_east_is_left(tmp_path):
    planes = {}
    for name in ("F106", "F129", "F158"):
        planes[name] = generator("test orientation", name).normal(size=(40, 50))
        # A star in the north-east: last rows, last columns of the lattice.
        planes[name][35, 45] += 1000
    write_colour(tmp_path / "sky.png", planes, {})
    picture = imread(tmp_path / "sky.png")[..., :3].sum(axis=-1)
    assert np.unravel_index(picture.argmax(), picture.shape) == (40 - 1 - 35, 50 - 1 - 45)


def test_same_samples_give_the_same_files(tmp_path):
    found, sky = without_truth()
    for run in ("1", "2"):
        plot_all(found, sky, *(tmp_path / f"{name}{run}.png" for name in "abcd"), {})
    for name in "abcd":
        assert (tmp_path / f"{name}1.png").read_bytes() == (tmp_path / f"{name}2.png").read_bytes()


def test_summary_holds_no_nan(tmp_path):
    found, _ = without_truth()
    write_summary(tmp_path / "summary.json", summarize(found, 1, 0, None, None), {})
    content = json.loads((tmp_path / "summary.json").read_text())
    assert content["details"]["gaia_after_mas"] == {
        "value": None,
        "n": 0,
        "interval": None,
        "bound": None,
        "ok": None,
    }
    assert judged(content) == [True, True]


def test_missing_column_of_the_truth_is_named(tmp_path):
    Table({"ra": [1.0], "dec": [2.0], "type": ["PSF"], "half_light_radius": [0.0]}).write(
        tmp_path / "t.ecsv"
    )
    with pytest.raises(DataError, match="column F158 is missing"):
        read_sky(tmp_path / "t.ecsv", ["F158"])
    with pytest.raises(DataError, match=r"no such truth table"):
        read_sky(tmp_path / "none.ecsv", ["F158"])


def test_sources_that_change_are_marked_where_the_truth_tells_them(tmp_path):
    rows = empty_rows(3, 61465.0)
    rows["light_curve"][1], rows["rate"][2], rows["rate_pa"][2] = "periodic", 30.0, 80.0
    write_truth(tmp_path / "truth.ecsv", rows, {})
    sky = read_sky(tmp_path / "truth.ecsv", ["F158"])
    assert sky.is_constant.tolist() == [True, False, False]
    assert np.isnan(sky.path_pa).tolist() == [True, True, False]
    plain = Table(rows)["ra", "dec", "type", "half_light_radius", "F158"]
    plain.write(tmp_path / "plain.ecsv")
    assert read_sky(tmp_path / "plain.ecsv", ["F158"]).is_constant.all()


def test_benchmarks_are_read_by_rule(tmp_path):
    head = "s\th:m:s\tmax_rss\tmax_vms\tmax_uss\tmax_pss\tio_in\tio_out\tmean_load\tcpu_time\n"
    (tmp_path / "coadd_patch").mkdir()
    (tmp_path / "coadd_patch/a.tsv").write_text(
        head + "2.5\t0:00:02\t300\t1\t1\t1\t0\t0\t99\t2.25\n"
    )
    (tmp_path / "make_truth.tsv").write_text(
        head + "0.1\t0:00:00\tNA\tNA\tNA\tNA\tNA\tNA\tNA\tNA\n"
    )
    jobs = read_job_times(tmp_path)
    assert [(job.rule, job.wall_s, job.cpu_s, job.memory_mb) for job in jobs] == [
        ("coadd_patch", 2.5, 2.25, 300.0),
        ("make_truth", 0.1, 0.0, 0.0),
    ]


def test_what_a_run_cost_stands_on_a_page_and_in_a_table_of_its_own(tmp_path):
    write_times(tmp_path / "t.html", tmp_path / "t.json", "demo", [JobTime("a <b>", 9, 4, 3, 2)])
    assert "a &lt;b&gt;" in (tmp_path / "t.html").read_text()
    rule = {"rule": "a <b>", "n_jobs": 1, "wall_s": 4, "cpu_s": 3, "memory_mb": 2}
    assert json.loads((tmp_path / "t.json").read_text()) == {"wall_s": 4.0, "rules": [rule]}


class EvenPsf:
    """Spreads the light over ten pixels."""

    def evaluate(self, dx, dy):
        return np.full(dx.shape, 0.1)


def test_stars_have_no_limit_where_the_time_to_saturate_is_not_known(monkeypatch):
    monkeypatch.setattr(report_inputs, "read_effective_psf", lambda path: EvenPsf())
    options = {"detectors": ["WFI01"], "saturation_electrons": 1e5, "second_resultant_s": 10.0}
    known = report_inputs.saturation_limits(["wfi01_epsf_f158.asdf"], options)
    unknown = report_inputs.saturation_limits(
        ["wfi01_epsf_f158.asdf"], options | {"second_resultant_s": None}
    )
    assert 0 < known["F158"] < np.inf
    assert unknown == {"F158": np.inf}

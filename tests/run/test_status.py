import io
import json

import pytest

from tessella.commands.status import show
from tessella.errors import DataError
from tessella.run.progress import Failure, Record, write_record
from tessella.run.status import figures, places, read_summary, troubles


def write_verdict(folder, name, outcome):
    detector = {"detector": "WFI01", "outcome": outcome, "reason": "no sky", "file": f"{name}.asdf"}
    path = folder / "level2" / f"{name}_verdict.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"detectors": [detector]}))


def shown(folder, log=None):
    file = io.StringIO()
    return show(str(folder), log, file), file.getvalue()


def test_figure_out_of_bounds_is_marked():
    summary = {"purity_snr10": {"value": 0.9, "n": 500, "bound": 0.95, "ok": False}}
    (line,) = figures(summary)
    assert (line.figure, line.ok) == ("90.0 %", False)


def test_figure_that_could_not_be_measured_is_no_number():
    (line,) = figures({"astrometry_rms_mas": {"value": None, "n": 0, "ok": False}})
    assert line.figure == "not measured"


def test_pulls_are_shown_only_where_they_fail():
    pulls = {"F106": {"value": 1.0, "ok": True}, "F158": {"value": 1.4, "ok": False}}
    assert [line.what for line in figures({"flux_pull_sd": pulls})] == ["sd of flux pulls F158"]


def test_every_filter_has_its_line():
    lines = figures({"depth_5sigma_abmag": {"F158": {"value": 26.1}, "F106": {"value": 26.349}}})
    assert [(line.what[-4:], line.figure) for line in lines] == [
        ("F106", "26.35 mag"),
        ("F158", "26.10 mag"),
    ]


def test_only_detectors_that_are_not_ok_are_troubles(tmp_path):
    write_verdict(tmp_path, "a", "ok")
    write_verdict(tmp_path, "b", "degraded")
    write_verdict(tmp_path, "c", "failed")
    assert [(t.file, t.outcome) for t in troubles(tmp_path)] == [
        ("b.asdf", "degraded"),
        ("c.asdf", "failed"),
    ]


def test_missing_summary_is_none(tmp_path):
    assert read_summary(tmp_path) is None


def test_first_of_several_files_is_named(tmp_path):
    (tmp_path / "level3").mkdir()
    for name in "ab":
        (tmp_path / f"level3/{name}_coadd.asdf").touch()
    (line,) = places(tmp_path)
    assert line.figure == f"{tmp_path}/level3/a_coadd.asdf and 1 more beside it"


def test_good_run_shows_figures_and_files(tmp_path):
    (tmp_path / "quality").mkdir()
    (tmp_path / "quality/summary.json").write_text('{"n_sources": {"value": 5, "ok": true}}')
    (tmp_path / "quality/report.html").touch()
    write_record(tmp_path, Record("done", {"a": 1}, {"a": 1}))
    code, text = shown(tmp_path)
    assert code == 0
    assert "sources" in text
    assert "report.html" in text
    assert "blocked" not in text


def test_failed_run_shows_done_degraded_failed_and_blocked(tmp_path):
    failure = Failure("calibrate", "r1 f158", "logs/c.log", "ERROR: [x] cut")
    planned = {"decode": 1, "calibrate": 2, "coadd": 1}
    links = [("decode", "calibrate"), ("calibrate", "coadd")]
    done = {"decode": 1, "calibrate": 1}
    write_record(tmp_path, Record("failed", planned, done, [failure], links))
    write_verdict(tmp_path, "b", "degraded")
    code, text = shown(tmp_path, "snakemake.log")
    assert code == 1
    for part in ("1 of 2", "degraded: b.asdf", "failed: calibrate r1 f158", "ERROR: [x] cut"):
        assert part in text
    for part in ("log: logs/c.log", "blocked by calibrate: 1 coadd", "snakemake.log"):
        assert part in text


def test_attempts_that_failed_are_told_of_a_run_that_is_done(tmp_path):
    killed = Failure("fit", "r1", "logs/f.log", "Slurm: TIMEOUT, job 17", "slurm_logs/17.log")
    write_record(tmp_path, Record("done", {"fit": 1}, {"fit": 1}, retried=[killed]))
    code, text = shown(tmp_path)
    assert code == 0
    assert "tried again: fit r1: Slurm: TIMEOUT, job 17" in text
    write_record(tmp_path, Record("failed", {"fit": 1}, {}, [killed], retried=[killed]))
    code, text = shown(tmp_path)
    assert code == 1
    assert "tried again" not in text
    assert "Slurm's log: slurm_logs/17.log" in text


def test_killed_run_shows_what_was_not_reached(tmp_path):
    write_record(tmp_path, Record("running", {"a": 3}, {"a": 1}))
    code, text = shown(tmp_path)
    assert code == 0
    assert "did not end" in text
    assert "not reached: 2 a" in text


def test_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        shown(tmp_path / "nowhere")

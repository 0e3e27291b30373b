"""What an operator sees of a run: its figures when it is done, and what is in the way when not."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tessella.io.held import read_held
from tessella.run.progress import Record, blocked

SUMMARY = "quality/summary.json"
TIMES = "quality/times.json"


@dataclass(frozen=True)
class Line:
    """One line of the table: what, the figure, and whether it keeps its bound (None: has none)."""

    what: str
    figure: str
    ok: bool | None = None


@dataclass(frozen=True)
class Trouble:
    """A detector image that is not as it should be."""

    file: str
    outcome: str
    reason: str


def read_summary(folder: str | Path) -> dict[str, Any] | None:
    """Read the figures of a run and what it cost; None where there is no report yet."""
    summary, times = (Path(folder) / name for name in (SUMMARY, TIMES))
    if not summary.is_file():
        return None
    cost = json.loads(times.read_text()).get("wall_s") if times.is_file() else None
    return {**json.loads(summary.read_text()), "wall_s": {"value": cost}}


def figures(summary: Mapping[str, Any]) -> list[Line]:
    """Return the lines of the end table.

    Figures that the report does not hold are left out; those that only judge the errors stand in
    the table where they fail.

    Parameters
    ----------
    summary : mapping
        Content of ``summary.json``: each figure a number, or a mapping with ``value`` and ``ok``,
        or one of these for each filter.

    Examples
    --------
    >>> figures({"flux_bias": {"F158": {"value": 0.004, "ok": True}}})
    [Line(what='flux bias against truth F158', figure='+0.40 %', ok=True)]
    """
    lines = []
    for key, (what, form) in {**_TABLE, **_WHERE_FAILED}.items():
        found = summary.get(key, summary.get("details", {}).get(key))
        if found is None:
            continue
        if _is_figure(found):
            said = [_line(what, form, found)]
        else:
            said = [_line(f"{what} {element}", form, found[element]) for element in sorted(found)]
        lines += [line for line in said if key in _TABLE or line.ok is False]
    return lines


_TABLE = {
    "n_exposures": ("exposures", "{:.0f}"),
    "n_sources": ("sources", "{:.0f}"),
    "depth_5sigma_abmag": ("depth (5 sigma, AB)", "{:.2f} mag"),
    "astrometry_before_mas": ("astrometric rms per axis, before alignment", "{:.1f} mas"),
    "gaia_after_mas": ("... against Gaia, aligned", "{:.1f} mas"),
    "astrometry_rms_mas": ("... against truth", "{:.1f} mas"),
    "flux_bias": ("flux bias against truth", "{:+.2%}"),
    "completeness_snr10": ("completeness (S/N > 10)", "{:.1%}"),
    "purity_snr10": ("purity", "{:.1%}"),
    "wall_s": ("time of the jobs", "{:.0f} s"),
}

_WHERE_FAILED = {
    "flux_pull_sd": ("sd of flux pulls", "{:.2f}"),
    "sky_pull_sd": ("sd of sky pulls", "{:.2f}"),
}


def _is_figure(found: Any) -> bool:
    return not isinstance(found, Mapping) or "value" in found


def _line(what: str, form: str, found: Any) -> Line:
    value, ok = (found["value"], found.get("ok")) if isinstance(found, Mapping) else (found, None)
    figure = "not measured" if value is None else form.format(value).replace("%", " %")
    return Line(what, figure, ok)


def troubles(folder: str | Path) -> list[Trouble]:
    """Return the detector images whose verdict is not ``ok``, from the verdict files of Level 2."""
    found = []
    for path in sorted(Path(folder).glob("level2/*_verdict.json")):
        for verdict in json.loads(path.read_text())["detectors"]:
            if verdict["outcome"] != "ok":
                found.append(Trouble(verdict["file"], verdict["outcome"], verdict["reason"]))
    return found


def stages(record: Record) -> list[Line]:
    """Return a line for each rule: how many of its jobs are done."""
    return [
        Line(rule, f"{record.done.get(rule, 0)} of {count}")
        for rule, count in record.planned.items()
    ]


def obstacles(record: Record) -> list[str]:
    """Say which jobs failed, why, and what waits for them."""
    said = []
    for failure in record.failures:
        said.append(f"failed: {failure.job}")
        said.append(f"    {failure.error}")
        said.append(f"    log: {failure.log}")
        if failure.slurm_log:
            said.append(f"    Slurm's log: {failure.slurm_log}")
    for causes, waiting in blocked(record).items():
        jobs = ", ".join(f"{count} {rule}" for rule, count in waiting.items())
        said.append(f"blocked by {', '.join(causes)}: {jobs}" if causes else f"not reached: {jobs}")
    return said


def retries(record: Record) -> list[str]:
    """Say which attempts failed before one that did not, or that still runs."""
    lost = {failure.job for failure in record.failures}
    return [f"tried again: {one.job}: {one.error}" for one in record.retried if one.job not in lost]


def held_back(folder: str | Path) -> list[str]:
    """Say which telemetry the last start of the run did not make, or not again, and why."""
    return [f"held: {one.what}: {one.reason}" for one in read_held(folder)]


def places(folder: str | Path) -> list[Line]:
    """Return where the products are that a person looks at first."""
    wanted = {
        "catalog": "level4/*_cat.parquet",
        "coadds": "level3/*_coadd.asdf",
        "colour picture": "quality/*_colour.png",
        "report": "quality/report.html",
        "maps of references": "measured/*_maps.png",
        "table of references": "library.tsv",
    }
    if not any(Path(folder).glob(wanted["report"])):
        wanted["calibrated exposures"] = "level2/*_cal.asdf"
    lines = []
    for what, pattern in wanted.items():
        files = sorted(Path(folder).glob(pattern))
        if files:
            more = f" and {len(files) - 1} more beside it" if len(files) > 1 else ""
            lines.append(Line(what, f"{files[0]}{more}"))
    return lines

"""Sections of the report's page, as HTML."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from tessella.quality.timing import RuleTime

#: Key, name, unit and format of each figure, in the order of the page.
FIGURES = (
    ("completeness_snr10", "Completeness, isolated sources of S/N > 10", "%"),
    ("purity_snr10", "Purity, catalogue sources of S/N > 10", "%"),
    ("flux_bias", "Median flux bias, stars of S/N 10-100", "%"),
    ("flux_pull_sd", "Spread of (measured - true) / error", ""),
    ("sky_pull_sd", "Spread of empty apertures / error", ""),
    ("astrometry_rms_mas", "Catalogue positions, rms per axis", "mas"),
    ("astrometry_before_mas", "Single exposures before alignment, rms per axis", "mas"),
    ("astrometry_after_mas", "Single exposures after alignment, rms per axis", "mas"),
    ("depth_5sigma_abmag", "Depth, 5 sigma, point sources", "mag"),
)
DETAILS = (
    ("gaia_before_mas", "Stars of the alignment from Gaia, before, rms per axis", "mas"),
    ("gaia_after_mas", "Stars of the alignment from Gaia, after, rms per axis", "mas"),
    ("repeats_before_mas", "The same from the mean of their images, before, rms per axis", "mas"),
    ("repeats_after_mas", "The same from the mean of their images, after, rms per axis", "mas"),
    ("completeness_snr10", "Completeness of", "%"),
    ("purity_snr10", "Purity", "%"),
)


def judged(figures: Any) -> list[bool]:
    """List the verdicts of all figures that have a bound, however deep they stand.

    Examples
    --------
    >>> judged({"a": {"value": 1.0, "ok": True}, "b": {"F158": {"value": 2.0, "ok": None}}})
    [True]
    """
    if not isinstance(figures, Mapping):
        return []
    if "ok" in figures:
        return [] if figures["ok"] is None else [bool(figures["ok"])]
    return [verdict for value in figures.values() for verdict in judged(value)]


def headline(summary: Mapping[str, Any]) -> str:
    """Say in one line whether the run is good."""
    verdicts = judged({key: summary[key] for key, *_ in FIGURES})
    failed = verdicts.count(False)
    text, kind = f"All {len(verdicts)} figures are within their bounds", "good"
    if failed:
        text, kind = f"{failed} of {len(verdicts)} figures are out of bounds", "bad"
    if not verdicts:
        text, kind = "No figure could be judged", "none"
    return f'<div class="verdict {kind}">{text}</div>'


def cards(summary: Mapping[str, Any]) -> str:
    """Show the few numbers that everyone wants."""
    shown = {"exposures": str(summary["n_exposures"]), "sources": f"{summary['n_sources']:,}"}
    for element, figure in summary["depth_5sigma_abmag"].items():
        shown[f"depth {element} [AB]"] = _value(figure, "mag")
    inner = "".join(
        f"<div class=card><b>{value}</b><span>{escape(name)}</span></div>"
        for name, value in shown.items()
    )
    return f"<div class=cards>{inner}</div>"


def table(columns: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table; columns whose name starts with # hold numbers. Cells are HTML.

    Examples
    --------
    >>> table(["rule", "#jobs"], [["a", "1"]]).count("class=n")
    2
    """
    columns = list(columns)
    kinds = [" class=n" if name.startswith("#") else "" for name in columns]
    lines = [
        "".join(f"<th{k}>{name.lstrip('#')}</th>" for k, name in zip(kinds, columns, strict=True))
    ]
    lines += [
        "".join(f"<td{k}>{cell}</td>" for k, cell in zip(kinds, row, strict=True)) for row in rows
    ]
    inner = "".join(f"<tr>{line}</tr>\n" for line in lines)
    return f"<div class=box><table>{inner}</table></div>"


def figure_table(names: Iterable[tuple[str, str, str]], figures: Mapping[str, Any]) -> str:
    """Show figures in the order of `names`: key, name and unit of each."""
    rows = []
    for key, name, unit in names:
        found = figures.get(key)
        # One figure, or one for each filter or part.
        parts = {"": found} if found is None or "value" in found else found
        for part, figure in parts.items():
            rows.append(_row(f"{name} {part}".replace("_", " ").strip(), figure, unit))
    return table(["", "#value", "#95 % interval", "#bound", "#objects", ""], rows)


def _row(name: str, figure: Mapping[str, Any] | None, unit: str) -> list[str]:
    if figure is None:
        return [escape(name), "not measured", "", "", "", ""]
    marks = {True: "<b class=good>ok</b>", False: "<b class=bad>not ok</b>", None: ""}
    edges = [
        "" if figure[name] is None else _range(figure[name], unit) for name in ("interval", "bound")
    ]
    value = f"<b>{_value(figure, unit)}</b>"
    return [escape(name), value, *edges, str(figure["n"]), marks[figure["ok"]]]


def _number(value: float, unit: str) -> str:
    return f"{100 * value:.1f}" if unit == "%" else f"{value:.2f}"


def _value(figure: Mapping[str, Any], unit: str) -> str:
    if figure["value"] is None:
        return "not measured"
    shown = _number(figure["value"], unit)
    return shown if unit == "mag" else f"{shown} {unit}".strip()


def _range(edges: Sequence[float | None], unit: str) -> str:
    low, high = (None if edge is None else _number(edge, unit) for edge in edges)
    if low is None:
        return f"at most {high}"
    return f"at least {low}" if high is None else f"{low} to {high}"


def duration(seconds: float) -> str:
    """Return a time as a person says it.

    Examples
    --------
    >>> duration(194.6)
    '3 min 15 s'
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def packets(counts: Mapping[str, int] | None) -> str:
    """Show what became of the packets; nothing where no telemetry was read."""
    if counts is None:
        return ""
    shown = table(
        [f"#{name.replace('_', ' ')}" for name in counts], [[f"{n:,}" for n in counts.values()]]
    )
    text = "received = used + duplicate + rejected + idle + unknown; missing data count in rows"
    return f"<h2>Telemetry packets</h2><p>{text}</p>{shown}"


def verdicts(found: Sequence[Mapping[str, str]], alignments: Sequence[tuple[str, str]]) -> str:
    """Show what became of each detector image; the list is open where something went wrong."""
    counts = Counter(verdict["outcome"] for verdict in found)
    calibrated = ", ".join(f"{n} {outcome}" for outcome, n in counts.most_common())
    ended = Counter(status for _, status in alignments).most_common()
    aligned = ", ".join(f"{n} {escape(status)}" for status, n in ended)
    status = dict(alignments)
    rows = [
        [
            escape(f"{verdict['exposure']} {verdict['detector']}"),
            f"<b class={'good' if verdict['outcome'] == 'ok' else 'bad'}>{verdict['outcome']}</b>",
            escape(verdict["reason"]),
            escape(status.get(verdict["file"].removesuffix("_cal.asdf"), "")),
        ]
        for verdict in found
    ]
    opened = " open" if set(counts) - {"ok"} else ""
    shown = table(["exposure", "calibration", "reason", "alignment"], rows)
    return (
        f"<h2>Detector images</h2><p>Calibration: {calibrated}. Alignment: {aligned}.</p>"
        f"<details{opened}><summary>all images</summary>{shown}</details>"
    )


def times(rules: Sequence[RuleTime], wall_s: float) -> str:
    """Show what each rule cost, and during how long at least one job ran."""
    longest = max((row.cpu_s for row in rules), default=0.0) or 1.0
    rows = [
        [
            escape(row.rule),
            *(f"{value:,.0f}" for value in (row.n_jobs, row.cpu_s, row.wall_s, row.memory_mb)),
            f"<div class=bar style='width:{200 * row.cpu_s / longest:.0f}px'></div>",
        ]
        for row in rules
    ]
    shown = table(["rule", "#jobs", "#CPU [s]", "#wall [s]", "#memory [MB]", "CPU"], rows)
    return f"<h2>Time</h2><p>At least one job ran during {duration(wall_s)}.</p>{shown}"


def notes(texts: Mapping[str, str]) -> str:
    """Explain how the figures are defined."""
    rows = [[escape(key.replace("_", " ")), escape(text)] for key, text in texts.items()]
    return f"<h2>Definitions</h2><details><summary>show</summary>{table(['', ''], rows)}</details>"

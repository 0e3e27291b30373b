"""The report: `summary.json`, and one self-contained HTML page."""

import base64
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from tessella.io.atomic import replacing
from tessella.quality.timing import RuleTime

_STYLE = """
:root{--ink:#1b2330;--soft:#667085;--line:#e4e7ec;--good:#18794e;--bad:#c0362c;--blue:#1f6feb}
*{box-sizing:border-box}
body{font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;color:var(--ink);
background:#f7f8fa;margin:0}
main{max-width:1060px;margin:0 auto;padding:36px 24px 60px}
h1{font-size:28px;margin:0}h2{font-size:18px;margin:40px 0 12px}
p{margin:6px 0;color:var(--soft)}
.verdict{font-size:17px;font-weight:600;margin:6px 0 20px}
.good{color:var(--good)}.bad{color:var(--bad)}.none{color:var(--soft)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(140px,1fr));gap:12px;margin:20px 0}
.card,.box{background:#fff;border:1px solid var(--line);border-radius:10px;padding:12px 16px}
.card b{display:block;font-size:22px}.card span{color:var(--soft);font-size:13px}
table{border-collapse:collapse;width:100%;background:#fff;font-variant-numeric:tabular-nums}
th{font-size:12px;text-align:left;color:var(--soft);font-weight:600}
td,th{padding:7px 10px;border-bottom:1px solid var(--line)}td.n,th.n{text-align:right}
img{max-width:100%;display:block;margin:0 auto;border-radius:8px}
img.sky{background:#000;width:100%}
.box{margin:12px 0;overflow-x:auto}.bar{background:var(--blue);height:9px;border-radius:3px;min-width:1px}
details{margin:12px 0}summary{cursor:pointer;color:var(--blue)}
"""

#: Key, name, unit and format of each figure, in the order of the page.
_FIGURES = (
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
_DETAILS = (
    ("gaia_before_mas", "Stars of the alignment from Gaia, before, rms per axis", "mas"),
    ("gaia_after_mas", "Stars of the alignment from Gaia, after, rms per axis", "mas"),
    ("completeness_snr10", "Completeness of", "%"),
    ("purity_snr10", "Purity", "%"),
)


@dataclass(frozen=True)
class Page:
    """What the page shows besides the content of `summary.json`."""

    run: str
    #: Picture and plots with their captions, PNG files.
    pictures: Sequence[Path]
    plots: Sequence[tuple[Path, str]]
    verdicts: Sequence[Mapping[str, str]]
    #: Detector image and status of its alignment.
    alignments: Sequence[tuple[str, str]]
    times: Sequence[RuleTime]


def write_summary(path: str | Path, summary: Mapping[str, Any]) -> None:
    """Write the figures as JSON; what was not measured is null, and nothing is NaN."""
    with replacing(path) as part:
        part.write_text(json.dumps(summary, indent=1, allow_nan=False) + "\n")


def write_page(path: str | Path, page: Page, summary: Mapping[str, Any]) -> None:
    """Write the report as one HTML file that needs no other."""
    body = "\n".join(
        [
            f"<h1>{escape(page.run)}</h1>",
            _headline(summary),
            _cards(summary),
            *(_image(picture, "The sky in colour, north up, east left", "sky") for picture in page.pictures),
            "<h2>Figures</h2>",
            _figures(_FIGURES, summary),
            "<details><summary>Figures that explain these</summary>",
            _figures(_DETAILS, summary["details"]),
            "</details>",
            *(f"<h2>{escape(caption)}</h2><div class=box>{_image(plot, caption)}</div>" for plot, caption in page.plots),
            _packets(summary.get("packets")),
            _verdicts(page),
            _times(page.times, summary["wall_s"]),
            _notes(summary["notes"]),
        ]
    )
    document = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(page.run)}: quality</title><style>{_STYLE}</style></head>\n"
        f"<body><main>\n{body}\n</main></body></html>\n"
    )
    with replacing(path) as part:
        part.write_text(document)


def judged(figures: Any) -> list[bool]:
    """List the verdicts of all figures that have a bound, however deep they stand.

    Examples
    --------
    >>> judged({"a": {"value": 1.0, "ok": True}, "b": {"F158": {"value": 2.0, "ok": None}, "F106": None}})
    [True]
    """
    if not isinstance(figures, Mapping):
        return []
    if "ok" in figures:
        return [] if figures["ok"] is None else [bool(figures["ok"])]
    return [verdict for value in figures.values() for verdict in judged(value)]


def _headline(summary: Mapping[str, Any]) -> str:
    verdicts = judged({key: summary[key] for key, *_ in _FIGURES})
    failed = verdicts.count(False)
    if not verdicts:
        return '<div class="verdict none">No figure could be judged</div>'
    if failed:
        return f'<div class="verdict bad">{failed} of {len(verdicts)} figures are out of bounds</div>'
    return f'<div class="verdict good">All {len(verdicts)} figures are within their bounds</div>'


def _cards(summary: Mapping[str, Any]) -> str:
    depth = summary["depth_5sigma_abmag"]
    cards = [("exposures", str(summary["n_exposures"])), ("sources", f"{summary['n_sources']:,}")]
    cards += [
        (f"depth {element} [AB]", _value(figure, "mag")) for element, figure in depth.items()
    ]
    cards.append(("processing", _duration(summary["wall_s"])))
    inner = "".join(f"<div class=card><b>{value}</b><span>{escape(name)}</span></div>" for name, value in cards)
    return f"<div class=cards>{inner}</div>"


def _figures(table: Iterable[tuple[str, str, str]], figures: Mapping[str, Any]) -> str:
    head = "<th></th><th class=n>value</th><th class=n>95 % interval</th><th class=n>bound</th><th class=n>objects</th><th></th>"
    rows = []
    for key, name, unit in table:
        found = figures.get(key)
        # One figure, or one for each filter or part.
        parts = {"": found} if found is None or "value" in found else found
        for part, figure in parts.items():
            rows.append(_row(f"{name} {part}".replace("_", " ").strip(), figure, unit))
    return f"<div class=box><table><tr>{head}</tr>{''.join(rows)}</table></div>"


def _row(name: str, figure: Mapping[str, Any] | None, unit: str) -> str:
    if figure is None or figure["value"] is None:
        figure = figure or {"n": 0, "ok": None}
        cells = "<td class='n none' colspan=3>not measured</td>"
    else:
        interval = "" if figure["interval"] is None else _range(figure["interval"], unit)
        bound = "" if figure["bound"] is None else _range(figure["bound"], unit)
        cells = f"<td class=n><b>{_value(figure, unit)}</b></td><td class=n>{interval}</td><td class=n>{bound}</td>"
    mark, kind = {True: ("ok", "good"), False: ("not ok", "bad"), None: ("", "none")}[figure["ok"]]
    return f"<tr><td>{escape(name)}</td>{cells}<td class=n>{figure['n']}</td><td class={kind}>{mark}</td></tr>"


def _number(value: float, unit: str) -> str:
    return f"{100 * value:.1f}" if unit == "%" else f"{value:.2f}"


def _value(figure: Mapping[str, Any] | None, unit: str) -> str:
    if figure is None or figure["value"] is None:
        return "not measured"
    shown = _number(figure["value"], unit)
    return shown if unit == "mag" else f"{shown} {unit}".strip()


def _range(edges: Sequence[float | None], unit: str) -> str:
    low, high = (None if edge is None else _number(edge, unit) for edge in edges)
    if low is None:
        return f"at most {high}"
    return f"at least {low}" if high is None else f"{low} to {high}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _image(path: Path, caption: str, kind: str = "plot") -> str:
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img class={kind} alt="{escape(caption)}" src="data:image/png;base64,{data}">'


def _packets(packets: Mapping[str, int] | None) -> str:
    if packets is None:
        return ""
    names = "".join(f"<th class=n>{escape(name.replace('_', ' '))}</th>" for name in packets)
    values = "".join(f"<td class=n>{value:,}</td>" for value in packets.values())
    text = "<p>received = used + duplicate + rejected + idle + unknown; what is missing is counted in rows.</p>"
    return f"<h2>Telemetry packets</h2><div class=box><table><tr>{names}</tr><tr>{values}</tr></table>{text}</div>"


def _verdicts(page: Page) -> str:
    counts = Counter(verdict["outcome"] for verdict in page.verdicts)
    aligned = Counter(status for _, status in page.alignments)
    parts = [f"{n} {outcome}" for outcome, n in sorted(counts.items(), reverse=True)]
    text = f"Calibration: {', '.join(parts)}. Alignment: {', '.join(f'{n} {s}' for s, n in sorted(aligned.items()))}."
    status = dict(page.alignments)
    rows = "".join(
        f"<tr><td>{escape(v['exposure'])} {escape(v['detector'])}</td>"
        f"<td class={'good' if v['outcome'] == 'ok' else 'bad'}>{escape(v['outcome'])}</td><td>{escape(v['reason'])}</td>"
        f"<td>{escape(status.get(v['file'].removesuffix('_cal.asdf'), ''))}</td></tr>"
        for v in page.verdicts
    )
    head = "<th>exposure</th><th>calibration</th><th>reason</th><th>alignment</th>"
    table = f"<div class=box><table><tr>{head}</tr>{rows}</table></div>"
    opened = " open" if set(counts) - {"ok"} else ""
    return (
        f"<h2>What became of each detector image</h2><p>{escape(text)}</p>"
        f"<details{opened}><summary>all images</summary>{table}</details>"
    )


def _times(times: Sequence[RuleTime], wall_s: float) -> str:
    longest = max((row.cpu_s for row in times), default=1.0) or 1.0
    rows = "".join(
        f"<tr><td>{escape(row.rule)}</td><td class=n>{row.n_jobs}</td><td class=n>{row.cpu_s:.0f}</td>"
        f"<td class=n>{row.wall_s:.0f}</td><td class=n>{row.memory_mb:,.0f}</td>"
        f"<td width=30%><div class=bar style='width:{100 * row.cpu_s / longest:.1f}%'></div></td></tr>"
        for row in times
    )
    head = "".join(f"<th class=n>{name}</th>" for name in ("jobs", "CPU [s]", "wall [s]", "memory [MB]"))
    return (
        f"<h2>Time</h2><p>At least one job ran during {_duration(wall_s)}.</p>"
        f"<div class=box><table><tr><th>rule</th>{head}<th>CPU</th></tr>{rows}</table></div>"
    )


def _notes(notes: Mapping[str, str]) -> str:
    rows = "".join(f"<tr><td>{escape(key.replace('_', ' '))}</td><td>{escape(text)}</td></tr>" for key, text in notes.items())
    return f"<h2>How the figures are defined</h2><details><summary>definitions</summary><div class=box><table>{rows}</table></div></details>"

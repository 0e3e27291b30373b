"""The report: `summary.json`, a self-contained HTML page, and another on what it all cost."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from tessella.io import report_sections as sections
from tessella.io.atomic import replacing
from tessella.io.seals import sha256
from tessella.quality.timing import JobTime, busy_seconds, by_rule

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
.box{margin:12px 0;overflow-x:auto}
.bar{background:var(--blue);height:9px;border-radius:3px;min-width:1px}
details{margin:12px 0}summary{cursor:pointer;color:var(--blue)}
"""

_CAPTION = "The coadds in colour; north is up, east is left."


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
    #: Name of the page beside it that says what the run cost.
    times: str


def write_summary(
    path: str | Path, summary: Mapping[str, Any], provenance: Mapping[str, Any]
) -> None:
    """Write the figures as JSON; what was not measured is null, and nothing is NaN."""
    with replacing(path, provenance) as part:
        part.write_text(json.dumps(summary, indent=1, allow_nan=False) + "\n")


def write_page(
    path: str | Path, page: Page, summary: Mapping[str, Any], provenance: Mapping[str, Any]
) -> None:
    """Write the report as one HTML file that needs no other."""
    body = "\n".join(
        [
            f"<h1>{escape(page.run)}</h1>",
            sections.headline(summary),
            sections.cards(summary),
            *(_image(picture, _CAPTION, "sky") for picture in page.pictures),
            f"<p>{_CAPTION}</p>",
            "<h2>Figures</h2>",
            sections.figure_table(sections.FIGURES, summary),
            "<details><summary>Figures that explain these</summary>",
            sections.figure_table(sections.DETAILS, summary["details"]),
            "</details>",
            *(_plot(plot, caption) for plot, caption in page.plots),
            sections.packets(summary.get("packets")),
            sections.verdicts(page.verdicts, page.alignments),
            sections.notes(summary["notes"]),
            f'<p><a href="{escape(page.times)}">What each stage cost</a></p>',
        ]
    )
    with replacing(path, provenance) as part:
        part.write_text(_document(f"{page.run}: quality", body))


def write_times(page: str | Path, table: str | Path, run: str, jobs: Sequence[JobTime]) -> None:
    """Write what a run cost as an HTML page and as JSON.

    They differ from run to run, so that they are no products: nothing is made from them, and
    they have no seals.
    """
    wall_s, rules = busy_seconds(list(jobs)), by_rule(list(jobs))
    with replacing(page, None) as part:
        body = f"<h1>{escape(run)}</h1>\n{sections.times(rules, wall_s)}"
        part.write_text(_document(f"{run}: times", body))
    with replacing(table, None) as part:
        content = {"wall_s": round(wall_s, 2), "rules": [rule._asdict() for rule in rules]}
        part.write_text(json.dumps(content, indent=1) + "\n")


def _document(title: str, body: str) -> str:
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title><style>{_STYLE}</style></head>\n"
        f"<body><main>\n{body}\n</main></body></html>\n"
    )


def _plot(path: Path, caption: str) -> str:
    return f"<h2>{escape(caption)}</h2><div class=box>{_image(path, caption)}</div>"


def _image(path: Path, caption: str, kind: str = "plot") -> str:
    sha256(path)
    data = base64.b64encode(path.read_bytes()).decode()
    return f'<img class={kind} alt="{escape(caption)}" src="data:image/png;base64,{data}">'

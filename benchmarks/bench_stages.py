"""What each stage of a finished run cost: CPU and wall seconds and peak memory.

Snakemake samples its jobs twice a second: figures of stages whose jobs end sooner are absent.

Run a workflow first; then for example

    python benchmarks/bench_stages.py results/demo

prints a table and writes benchmarks/results/stages_demo.json.
"""

import argparse
import csv
import json
import os
import platform
import sys
from pathlib import Path

import tessella

#: Jobs shorter than this are not sampled often enough.
SHORTEST_SECONDS = 1.0


def rows_of(folder: Path) -> list[dict[str, str]]:
    """Read the rows of all benchmark files of a rule."""
    files = sorted(folder.glob("*.tsv")) if folder.is_dir() else [folder]
    return [row for file in files for row in csv.DictReader(file.open(), delimiter="\t")]


def measure(run: Path) -> list[dict[str, float | str | int | None]]:
    """Add up each rule's jobs; what Snakemake did not measure (jobs too short) is absent."""
    measured = []
    for entry in sorted((run / "benchmarks").iterdir()):
        rows = rows_of(entry)
        sampled = all(float(row["s"]) > SHORTEST_SECONDS for row in rows)
        measured.append(
            {
                "what": entry.stem,
                "n_runs": len(rows),
                "cpu_s": round(sum(float(row["cpu_time"]) for row in rows), 2) if sampled else None,
                "wall_s": round(sum(float(row["s"]) for row in rows), 2),
                "peak_gb": max(float(row["max_rss"]) for row in rows) / 1000 if sampled else None,
            }
        )
    return sorted(measured, key=lambda row: -float(row["wall_s"] or 0))


def main() -> None:
    """Print the table and write it."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", type=Path, help="folder of a finished run")
    run = parser.parse_args().run
    rows = measure(run)
    for row in rows:
        figures = "  ".join(f"{key} {row[key]}" for key in ("n_runs", "cpu_s", "wall_s", "peak_gb"))
        sys.stdout.write(f"{row['what']:<24} {figures}\n")
    machine = {
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
    }
    out = Path(__file__).parent / "results" / f"stages_{run.name}.json"
    out.parent.mkdir(exist_ok=True)
    content = {"machine": machine, "software": f"tessella {tessella.__version__}", "rows": rows}
    out.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()

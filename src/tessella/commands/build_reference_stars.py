"""Cut tables of Gaia sources into shards that runs take their reference stars from."""

import argparse
import sys
from pathlib import Path

EXAMPLE = "tessella build-reference-stars GaiaSource_*.csv.gz --shards gaia_dr3"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument(
        "tables",
        metavar="TABLE",
        nargs="+",
        help="CSV (plain or gzip), Parquet, FITS, ECSV or VOTable with the columns of Gaia DR2 or "
        "DR3; CSV and Parquet may be larger than the memory",
    )
    parser.add_argument(
        "--shards",
        metavar="FOLDER",
        required=True,
        help="the new folder to make; it takes about 100 bytes a star, and 150 more while it is "
        "made",
    )
    parser.add_argument(
        "--epoch",
        type=float,
        help="Julian year of the positions, for tables without a column ref_epoch: 2015.5 for "
        "Gaia DR2, 2016.0 for DR3",
    )


def run(args: argparse.Namespace) -> int:
    """Build the shards; say how many stars they hold and how a run is told of them.

    Raises
    ------
    DataError
        If a table cannot be read, lacks a column, or the folder is not new.
    """
    from tessella.io.star_shards import INDEX, build_shards

    n_stars = build_shards(args.tables, args.shards, args.epoch)
    sys.stdout.write(
        f"{args.shards}: {n_stars} stars; runs use them with "
        f"--config reference_stars='{{table: {Path(args.shards).resolve() / INDEX}}}'\n"
    )
    return 0

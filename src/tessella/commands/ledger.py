"""Show what became of the packets and rows of an exposure, and where its packets are."""

import argparse

from tessella.commands.packets import show
from tessella.errors import DataError

EXAMPLE = (
    "tessella ledger results/demo/level1/r0000101001001001001_0001_wfi01_f158_uncal.asdf; "
    "tessella ledger results/demo/r0000101001001001001_0001 --detector WFI01"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    parser.add_argument(
        "exposure",
        metavar="EXPOSURE",
        help="a ledger, a Level 1 file of a run (shows the packets it came from), or "
        "results/<run>/<exposure>",
    )
    parser.add_argument("--detector", metavar="WFI01", help="show the packets of this detector")


def run(args: argparse.Namespace) -> int:
    """Show a ledger; it is an error if it does not balance."""
    from tessella.io.ledgers import origin_of, read_ledger
    from tessella.run.ledger_text import list_ledger

    origin = origin_of(args.exposure)
    ledger = read_ledger(origin.ledger)
    ledger.check()
    told = ledger.versions.get(origin.exposure)
    if origin.version not in (None, told):
        raise DataError(
            f"{args.exposure}: it was made of the packets of version {origin.version}, "
            f"{origin.ledger} tells of version {told}; run snakemake again, which makes both of one"
        )
    detector = args.detector or origin.detector
    known = sorted({row.apid % 32 for row in ledger.rows})
    if detector is not None and detector.upper() not in {f"WFI{number:02d}" for number in known}:
        names = ", ".join(f"WFI{number:02d}" for number in known)
        raise DataError(f"{args.exposure}: the ledger has no detector {detector}; it has {names}")
    show(list_ledger(ledger, None if detector is None else detector.upper()))
    return 0

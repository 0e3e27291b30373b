"""The command line: what can be asked; `tessella.commands` does it."""

import argparse
import sys
from collections.abc import Sequence

from tessella.commands import (
    build_reference_stars,
    compare,
    import_references,
    ledger,
    packets,
    repair,
    resume,
    simulate,
    status,
    verify,
)
from tessella.errors import ConfigError, DataError

COMMANDS = {
    "status": status,
    "resume": resume,
    "verify": verify,
    "repair": repair,
    "compare": compare,
    "packets": packets,
    "ledger": ledger,
    "import-references": import_references,
    "build-reference-stars": build_reference_stars,
    "simulate": simulate,
}


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="tessella",
        description="From the telemetry of the Roman Wide Field Instrument to catalogs. "
        "Runs are started with snakemake; these commands help.",
        epilog="example: snakemake --profile local && tessella status results/demo",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    for name, module in COMMANDS.items():
        said = (module.__doc__ or "").strip()
        command = commands.add_parser(
            name,
            help=said,
            description=said,
            epilog=f"example: {module.EXAMPLE}",
            usage=getattr(module, "USAGE", None),
            allow_abbrev=False,
        )
        module.add_arguments(command)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that is asked for; return the exit code."""
    parser = make_parser()
    args, more = parser.parse_known_args(argv)
    if more and not getattr(COMMANDS[args.command], "TAKES_MORE", False):
        parser.error(f"{args.command} does not take {' '.join(more)}")
    args.more = more
    try:
        return COMMANDS[args.command].run(args)
    except (ConfigError, DataError) as error:
        sys.stderr.write(f"ERROR: {error}\n")
        return 1

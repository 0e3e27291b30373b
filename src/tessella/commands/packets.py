"""List what packet files hold, of any spacecraft, and take packets out of transfer frames."""

import argparse
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tessella.errors import ConfigError, DataError

if TYPE_CHECKING:
    from tessella.run.packet_files import Listing
    from tessella.telemetry.frames import FrameFormat

EXAMPLE = "tessella packets inventory inbox/*.l0"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say what the command takes."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    inventory = actions.add_parser(
        "inventory",
        help="list packets, exposures, gaps and groups of segments",
        description="List what files of packets hold: exposures and what is there of them where "
        "the packets are of tessella's own layout, else identifiers, gaps and groups of segments.",
        epilog="examples: tessella packets inventory inbox/*.l0; "
        "tessella packets inventory --frames 1115:5 pass.cadu",
    )
    unframe = actions.add_parser(
        "unframe",
        help="write the packets of each virtual channel of transfer frames",
        description="Write the packets of each virtual channel of AOS transfer frames into "
        "<folder>/<file>_vc<number>.l0.",
        epilog="example: tessella packets unframe --frames 1115:5 --correct pass.cadu --out inbox",
    )
    for action, is_needed in ((inventory, False), (unframe, True)):
        action.add_argument("files", nargs="+", metavar="FILE")
        _add_frame_arguments(action, is_needed)
    unframe.add_argument("--out", metavar="FOLDER", required=True, help="where files are written")


def _add_frame_arguments(parser: argparse.ArgumentParser, is_needed: bool) -> None:
    parser.add_argument(
        "--frames",
        metavar="OCTETS:CODEWORDS",
        required=is_needed,
        help="the files hold transfer frames: their length without check symbols, and their "
        "Reed-Solomon codewords (0: none)",
    )
    parser.add_argument("--not-randomised", action="store_true", help="frames are sent as they are")
    parser.add_argument(
        "--correct", action="store_true", help="correct errors by Reed-Solomon (needs reedsolo)"
    )
    for name, said in (
        ("header-check", "header error control"),
        ("insert", "insert zone"),
        ("control", "operational control field"),
    ):
        parser.add_argument(
            f"--{name}", type=int, default=0, metavar="OCTETS", help=f"length of the {said}"
        )
    parser.add_argument("--checksum", action="store_true", help="a checksum ends each frame")


def run(args: argparse.Namespace) -> int:
    """List or write; 0 when all files could be read."""
    form = None if args.frames is None else _format(args)
    if args.action == "unframe":
        assert form is not None
        return _unframe(args, form)
    return _inventory(args, form)


def _format(args: argparse.Namespace) -> "FrameFormat":
    from tessella.telemetry.frames import FrameFormat
    from tessella.telemetry.reed_solomon import DATA_SYMBOLS

    try:
        octets, interleaving = map(int, args.frames.split(":"))
    except ValueError as error:
        raise ConfigError(
            f"--frames: found {args.frames!r}, expected octets and codewords such as 1115:5"
        ) from error
    form = FrameFormat(
        octets,
        interleaving,
        not args.not_randomised,
        args.header_check,
        args.insert,
        args.control,
        args.checksum,
    )
    if min(interleaving, args.header_check, args.insert, args.control) < 0 or (
        form.zone.stop <= form.zone.start or interleaving and octets % interleaving
    ):
        raise ConfigError(
            f"--frames: {octets} octets leave no room for packets, or are not divided by "
            f"{interleaving} codewords; expected such as 1115:5"
        )
    if interleaving and octets // interleaving > DATA_SYMBOLS:
        raise ConfigError(
            f"--frames: found {octets // interleaving} octets a codeword, expected at most "
            f"{DATA_SYMBOLS}; give more codewords, or 0 where frames have no check symbols"
        )
    return form


def _inventory(args: argparse.Namespace, form: "FrameFormat | None") -> int:
    from tessella.run import packet_files

    for file in args.files:
        with _progress(file) as tell:
            if form is None:
                listings = packet_files.list_packets(file, tell)
            else:
                link = packet_files.open_link(file, form, args.correct)
                listings = packet_files.list_link(file, link)
        show(listings)
    return 0


def _unframe(args: argparse.Namespace, form: "FrameFormat") -> int:
    from tessella.io.atomic import replacing
    from tessella.run import packet_files

    _refuse_existing(args.files, Path(args.out))
    for file in args.files:
        link = packet_files.open_link(file, form, args.correct)
        for number, channel in link.channels.items():
            path = Path(args.out) / f"{Path(file).stem}_vc{number:02d}.l0"
            with replacing(path, None) as part:
                part.write_bytes(channel.packets)
        show(packet_files.list_link(file, link)[:1])
    return 0


def _refuse_existing(files: Sequence[str], out: Path) -> None:
    """Refuse files that would be written over: those of an earlier call, or of this one."""
    stems: dict[str, str] = {}
    for file in files:
        stem = Path(file).stem
        if stem in stems:
            raise DataError(
                f"{file}: its packets would be written over those of {stems[stem]}, of the same "
                "name; give them folders of their own by calls of their own"
            )
        stems[stem] = file
        for path in sorted(out.glob("*_vc[0-9][0-9].l0")):
            if path.name[: -len("_vc00.l0")] == stem:
                raise DataError(f"{path}: it exists; remove it, or name another folder by --out")


@contextmanager
def _progress(file: str) -> Iterator[Callable[[int], None]]:
    """Show how much of a file is read, where someone looks."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

    try:
        octets = Path(file).stat().st_size
    except OSError as error:
        raise DataError(f"{file}: no such file; name files of packets") from error
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Progress(
        *columns, console=console, transient=True, disable=not console.is_terminal
    ) as bar:
        task = bar.add_task(Path(file).name, total=octets)
        yield lambda read: bar.advance(task, read)


def show(listings: "Sequence[Listing]") -> None:
    """Write tables to the standard output."""
    sys.stdout.write("\n\n".join(listing.text() for listing in listings) + "\n")

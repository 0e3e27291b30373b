"""The command line of a stage: options as JSON, files by name, errors in one line."""

import argparse
import json
import logging
import sys
import types
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tessella.errors import ConfigError, DataError

_KINDS: dict[str, Callable[[str], Any]] = {"int": int, "str": str, "json": json.loads, "path": Path}


def stage_arguments(
    description: str | None, argv: Sequence[str] | None, *names: str
) -> argparse.Namespace:
    """Parse the command line of a stage script.

    Parameters
    ----------
    description : str
        Docstring of the script.
    argv : sequence of str, optional
        None takes the process's own.
    *names : str
        Options of the script, all required: ``options`` is JSON, others are paths; ``name*``
        takes one or more, ``name:int``, ``name:str`` and ``name:json`` are of that kind. A word
        ``@file`` stands for the lines of a file.

    Examples
    --------
    >>> words = ["--options", '{"a": 1}', "--image", "x.asdf"]
    >>> args = stage_arguments("A stage.", words, "options", "image")
    >>> args.options, str(args.image)
    ({'a': 1}, 'x.asdf')
    """
    parser = argparse.ArgumentParser(
        description=description,
        epilog="Run `snakemake -p` to see this command with all its files, ready to paste.",
        fromfile_prefix_chars="@",
    )
    for name in names:
        several = name.endswith("*")
        plain, _, kind = name.rstrip("*").partition(":")
        kind = kind or ("json" if plain == "options" else "path")
        flag = "--" + plain.replace("_", "-")
        parser.add_argument(
            flag, dest=plain, type=_KINDS[kind], required=True, nargs="+" if several else None
        )
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    sys.excepthook = _tell_people
    return parser.parse_args(argv)


def _tell_people(
    kind: type[BaseException], error: BaseException, trace: types.TracebackType | None
) -> None:
    """Say errors of data in one line; show where errors of the program come from."""
    if issubclass(kind, DataError | ConfigError):
        sys.stderr.write(f"ERROR: {error}\n")
    else:
        sys.__excepthook__(kind, error, trace)
        sys.stderr.write(f"ERROR: {kind.__name__}: {error}\n")

"""Where a product comes from: software, options, inputs and references with their hashes."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import tessella


def sha256(path: str | Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def provenance(
    stage: str, options: Mapping[str, Any], made_from: Iterable[str | Path], **more: Any
) -> dict[str, Any]:
    """Describe how a product was made.

    Parameters
    ----------
    stage : str
        Name of the rule.
    options : mapping
        Section of the configuration that the stage was given.
    made_from : iterable of paths
        Input files; they are named without their folders.
    **more
        Further entries, such as the steps that ran.

    Examples
    --------
    >>> provenance("calibrate_exposure", {"skip": []}, [])["stage"]
    'calibrate_exposure'
    """
    return {
        "stage": stage,
        "software": f"tessella {tessella.__version__}",
        "options": json.loads(json.dumps(options)),
        "made_from": [{"name": Path(path).name, "sha256": sha256(path)} for path in made_from],
        **more,
    }

"""Where a product comes from: software, environment, options, inputs and their hashes."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import tessella
from tessella import environment
from tessella.io.runs import name_of
from tessella.io.seals import sha256

#: The package, and the scripts of the clone that it was installed from.
_PACKAGE = Path(tessella.__file__).parent
_SOURCES = (_PACKAGE, _PACKAGE.parents[1] / "workflow_scripts")


@cache
def code_version(sources: tuple[Path, ...] = _SOURCES) -> str:
    """Return the hash of all files of the package and of the scripts, as 16 hexadecimal digits.

    Parameters
    ----------
    sources : tuple of path
        Folders or files to look at instead.

    Examples
    --------
    >>> len(code_version())
    16
    """
    digest = hashlib.sha256()
    for source in sources:
        for path in sorted(source.rglob("*")) if source.is_dir() else [source]:
            if path.is_file() and path.suffix != ".pyc":
                content = path.read_bytes()
                digest.update(f"{path.relative_to(source).as_posix()} {len(content)}\n".encode())
                digest.update(content)
    return digest.hexdigest()[:16]


def provenance(
    stage: str, options: Mapping[str, Any], made_from: Iterable[str | Path], **more: Any
) -> dict[str, Any]:
    """Describe how a product was made.

    Parameters
    ----------
    stage : str
        Name of the rule.
    options : mapping
        All values that the stage was given and that the product depends on.
    made_from : iterable of paths
        Input files; those of a run are named below its folder, others without theirs.
    **more
        Further entries, such as the steps that ran.

    Raises
    ------
    DataError
        If an input is missing, or is not what its seal says.

    Examples
    --------
    >>> provenance("calibrate_exposure", {"skip": []}, [])["stage"]
    'calibrate_exposure'
    """
    return {
        "stage": stage,
        "software": f"tessella {tessella.__version__}",
        "code": code_version(),
        "environment": environment.record(),
        "options": json.loads(json.dumps(options)),
        # Who reads arrays has checked them: here only the seal and what stands before them is.
        "made_from": [
            {"name": name_of(path), "sha256": sha256(path, head_only=True)} for path in made_from
        ],
        **more,
    }

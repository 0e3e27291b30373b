"""Reference stars of the whole sky: one Parquet file a shard, and an index that names them.

``shards.json`` stands in the folder of the shards, ``d<zone>/r<part>.parquet`` below it; see
`tessella.sky.shards`. Rows are in the form of `tessella.io.gaia_tables.SCHEMA`, ordered by
``source_id``, each source once.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tessella.errors import DataError
from tessella.io.gaia_tables import SCHEMA, read_batches
from tessella.io.seals import sha256
from tessella.sky.shards import N_ZONES, PARTS, shard_of

#: Name of the index.
INDEX = "shards.json"
_FORMAT = "tessella reference stars, 1"
#: Rows that are sorted in memory at once when shards are built, about 160 bytes each.
_SORTED_ROWS = 4_000_000


def file_of(shard: int) -> str:
    """Return the path of a shard below its folder.

    Examples
    --------
    >>> file_of(175001)
    'd175/r001.parquet'
    """
    zone, part = divmod(int(shard), PARTS)
    return f"d{zone:03d}/r{part:03d}.parquet"


def build_shards(
    tables: Sequence[str | Path],
    folder: str | Path,
    epoch: float | None = None,
    sorted_rows: int = _SORTED_ROWS,
) -> int:
    """Cut tables of Gaia sources into shards, with memory for `sorted_rows` rows and one shard.

    Parameters
    ----------
    tables : sequence of paths
        See `tessella.io.gaia_tables.read_batches`.
    folder : path
        To be made; it must not exist, or be empty.
    epoch : float, optional
        Julian year, for tables without a column ``ref_epoch``.

    Returns
    -------
    int
        Number of stars.

    Raises
    ------
    DataError
        If a table cannot be read, the tables hold no star, or the folder holds something.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise DataError(f"{folder}: it exists; name a new folder for the shards")
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    (part / "runs").mkdir(parents=True)
    try:
        batches = (batch for table in tables for batch in read_batches(table, epoch))
        runs = list(_write_runs(batches, part / "runs", sorted_rows))
        known = _merge(runs, part)
        if not known:
            names = ", ".join(map(str, tables))
            raise DataError(f"{names}: no row of a star; expected a Gaia table, name another one")
        shutil.rmtree(part / "runs")
        index = {
            "format": _FORMAT,
            "n_stars": sum(n for n, _ in known.values()),
            "made_from": [Path(table).name for table in tables],
            "shards": known,
        }
        (part / INDEX).write_text(json.dumps(index, indent=0) + "\n")
        if folder.exists():
            folder.rmdir()
        part.replace(folder)
    except OSError as error:
        raise DataError(f"{folder}: cannot be written: {error}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return index["n_stars"]


def _write_runs(
    batches: Iterable[pa.Table], folder: Path, sorted_rows: int
) -> Iterator[tuple[Path, np.ndarray, np.ndarray]]:
    """Sort rows by shard, so many at once; give each file, its shards, and where they start."""
    waiting: list[pa.Table] = []
    for batch in _and_last(batches):
        if batch is not None:
            waiting.append(batch)
        rows = sum(table.num_rows for table in waiting)
        if rows and (batch is None or rows >= sorted_rows):
            table = pa.concat_tables(waiting)
            shards = shard_of(table["ra"].to_numpy(), table["dec"].to_numpy())
            order = np.argsort(shards, kind="stable")
            path = folder / f"{len(list(folder.iterdir())):05d}.arrow"
            with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, SCHEMA) as writer:
                writer.write_table(table.take(order).combine_chunks())
            found, starts = np.unique(shards[order], return_index=True)
            yield path, found, np.append(starts, len(order))
            waiting = []


def _and_last(batches: Iterable[pa.Table]) -> Iterator[pa.Table | None]:
    yield from batches
    yield None


def _merge(
    runs: Sequence[tuple[Path, np.ndarray, np.ndarray]], folder: Path
) -> dict[str, list[Any]]:
    """Write the shards from sorted runs; return number of stars and SHA-256 of each."""
    opened = [pa.ipc.open_file(pa.memory_map(str(path))).read_all() for path, _, _ in runs]
    shards = np.unique(np.concatenate([np.zeros(0, int), *(found for _, found, _ in runs)]))
    known: dict[str, list[Any]] = {}
    for shard in shards:
        pieces = []
        for table, (_, found, starts) in zip(opened, runs, strict=True):
            k = np.searchsorted(found, shard)
            if k < len(found) and found[k] == shard:
                pieces.append(table.slice(starts[k], starts[k + 1] - starts[k]))
        rows = in_order(pa.concat_tables(pieces))
        path = folder / file_of(shard)
        path.parent.mkdir(exist_ok=True)
        pq.write_table(rows, path, compression="zstd")
        known[str(shard)] = [rows.num_rows, sha256(path)]
    return known


def in_order(rows: pa.Table) -> pa.Table:
    """Order rows by their names, of each the first; those without a name keep their order.

    Examples
    --------
    >>> in_order(pa.table({"source_id": [7, -1, 3, 7, -1]}))["source_id"].to_pylist()
    [-1, -1, 3, 7]
    """
    names = rows["source_id"].to_numpy()
    order = np.argsort(names, kind="stable")
    again = (np.diff(names[order], prepend=-1) == 0) & (names[order] >= 0)
    return rows.take(order[~again]).combine_chunks()


def read_shards(index: str | Path, wanted: Sequence[int] | None) -> Iterator[tuple[int, pa.Table]]:
    """Give shards with their stars, in order.

    Parameters
    ----------
    index : path
        ``shards.json``.
    wanted : sequence of int or None
        Numbers of shards, of which those that hold stars are given; None gives all.

    Raises
    ------
    DataError
        If the index or a shard is not what `build_shards` wrote.
    """
    index = Path(index)
    content = _read_index(index)
    known = {int(shard): made for shard, made in content["shards"].items()}
    for shard in sorted(known.keys() if wanted is None else known.keys() & set(map(int, wanted))):
        path = index.parent / file_of(shard)
        found, written = sha256(path), known[shard][1]
        if found != written:
            raise DataError(
                f"{path}: damaged: its SHA-256 is {found}, {written} was written; build the "
                "shards again"
            )
        yield shard, pq.ParquetFile(path).read()


def _read_index(index: Path) -> dict[str, Any]:
    sha256(index)
    try:
        content = json.loads(index.read_text())
        if content["format"] != _FORMAT:
            raise ValueError(f"its format is {content['format']!r}, not {_FORMAT!r}")
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{index}: no index of reference stars: {error}; "
            "`tessella build-reference-stars` makes one"
        ) from error
    return content


def read_stars_of(
    path: str | Path, epoch: float | None, wanted: Sequence[int] | None
) -> Iterator[tuple[int, pa.Table]]:
    """Give the stars of shards or of a plain table alike: by shard, in the form of `SCHEMA`.

    Parameters
    ----------
    path : path
        The index of shards (``.json``), or a table of Gaia sources.
    epoch : float or None
        Julian year, for a table without a column ``ref_epoch``.
    wanted : sequence of int or None
        Numbers of shards; None gives all.
    """
    if Path(path).suffix == ".json":
        yield from read_shards(path, wanted)
        return
    parts: dict[int, list[pa.Table]] = {}
    for batch in read_batches(path, epoch):
        shards = shard_of(batch["ra"].to_numpy(), batch["dec"].to_numpy())
        for shard in np.unique(shards if wanted is None else shards[np.isin(shards, wanted)]):
            parts.setdefault(int(shard), []).append(batch.filter(pa.array(shards == shard)))
    for shard in sorted(parts):
        yield shard, in_order(pa.concat_tables(parts[shard]))


def some_of(
    stars: Iterable[tuple[int, pa.Table]], path: str | Path, wanted: Sequence[int]
) -> Iterator[tuple[int, pa.Table]]:
    """Give shards on, and refuse that there are none: the stars are those of another field.

    Parameters
    ----------
    stars : iterable of (int, pyarrow.Table)
        What `read_stars_of` gives of `wanted`.
    path : path
        Of the table.
    wanted : sequence of int
        Shards that the images of a run lie on; without any, no star is needed.

    Raises
    ------
    DataError
        After the last one.
    """
    count = 0
    for shard, rows in stars:
        count += rows.num_rows
        yield shard, rows
    if wanted and not count:
        low = wanted[0] // PARTS - N_ZONES // 2
        raise DataError(
            f"{path}: none of its stars lies near an image of this run, the first of which is at "
            f"declinations of {low} to {low + 1} degrees; 'reference_stars.table' must name Gaia "
            "stars of the run's own field"
        )

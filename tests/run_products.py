"""What a finished run has made, as arrays that can be compared."""

from pathlib import Path

import numpy as np


def arrays_of(run: Path) -> dict[str, np.ndarray]:
    """All arrays and table columns of the products of a run."""
    import asdf
    import h5py
    import pyarrow.parquet
    from astropy.table import Table

    found = {}
    for path in sorted([*run.glob("level[1-4]/*.asdf"), *run.glob("references/*/*.asdf")]):
        with asdf.open(path, memmap=False) as file:
            for name, value in file["roman"].items():
                if name != "meta":
                    found[f"{path.name}:{name}"] = np.array(value)
    for path in sorted(run.glob("level3/*.h5")):
        with h5py.File(path) as file:
            datasets: list[str] = []
            file.visit(datasets.append)
            for name in datasets:
                if isinstance(file[name], h5py.Dataset):
                    found[f"{path.name}:{name}"] = file[name][()]
    for path in sorted([*run.glob("level4/*.parquet"), *run.glob("references/*.parquet")]):
        table = pyarrow.parquet.read_table(path)
        for name in table.column_names:
            found[f"{path.name}:{name}"] = table[name].to_numpy(zero_copy_only=False)
    for path in sorted([*run.glob("level[23]/*.ecsv"), *run.glob("references/*.ecsv")]):
        table = Table.read(path, format="ascii.ecsv")
        for name in table.colnames:
            found[f"{path.name}:{name}"] = np.asarray(table[name])
    return found


def assert_same(one: Path, two: Path) -> None:
    """Hold the products of two runs against each other, to the last bit; NaN equals NaN."""
    first, second = arrays_of(one), arrays_of(two)
    assert first
    assert first.keys() == second.keys()
    for name, values in first.items():
        if name.endswith(":source_catalog") or values.dtype == object:
            assert str(values) == str(second[name]), name
        else:
            np.testing.assert_array_equal(values, second[name], err_msg=name)

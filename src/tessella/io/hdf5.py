"""HDF5 files, written on disks that may be full."""

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py


class _Forgiving(io.FileIO):
    """A file that keeps the first fault of the disk for later."""

    fault: OSError | None = None

    def write(self, data: Any) -> int:
        """Write all of the data, or as good as: nothing more after a fault."""
        left = memoryview(data).cast("B")
        n_bytes = len(left)
        while left and self.fault is None:
            try:
                left = left[super().write(left) or 0 :]
            except OSError as error:
                self.fault = error
        return n_bytes


@contextmanager
def new_hdf5(path: Path) -> Iterator[h5py.File]:
    """Open a new HDF5 file; a fault of the disk shows when it is closed.

    Told of it before, HDF5 2.0 crashes the process.
    """
    with _Forgiving(path, "w+") as disk:
        try:
            with h5py.File(disk, "w") as file:
                yield file
        finally:
            if disk.fault is not None:
                raise disk.fault

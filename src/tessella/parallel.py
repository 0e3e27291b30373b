"""Ranks and workers: the only module that knows MPI, and the one owner of processes.

Everything here also works with ``comm=None``, one process.
"""

import multiprocessing
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from tessella.errors import DataError


def world(n_ranks: int) -> Any:
    """Return the communicator of all ranks, or None for one.

    Raises
    ------
    DataError
        If the launcher started another number of ranks than expected: a launcher that does not
        belong to the MPI library starts separate worlds of one rank each, which would all
        write the same file.
    """
    if n_ranks == 1:
        return None
    from mpi4py import MPI

    found = MPI.COMM_WORLD.Get_size()
    if found != n_ranks:
        raise DataError(
            f"MPI: expected {n_ranks} ranks, found a world of {found}; the launcher (mpiexec, "
            "srun) does not belong to the MPI library that mpi4py loaded"
        )
    return MPI.COMM_WORLD


def is_first(comm: Any) -> bool:
    """Tell whether this process is the one that writes."""
    return comm is None or comm.Get_rank() == 0


def share(n_items: int, comm: Any) -> tuple[int, int]:
    """Return the first item and the number of items of this rank; ranks own neighbouring items.

    Examples
    --------
    >>> share(10, None)
    (0, 10)
    """
    if comm is None:
        return 0, n_items
    rank, size = comm.Get_rank(), comm.Get_size()
    first, end = n_items * rank // size, n_items * (rank + 1) // size
    return first, end - first


def gather(part: Any, comm: Any) -> list[Any] | None:
    """Collect the parts of all ranks, in their order, on the first one; None on the others."""
    if comm is None:
        return [part]
    return comm.gather(part, root=0)


def each(
    function: Callable[..., Any], tasks: Sequence[tuple[Any, ...]], n_workers: int
) -> list[Any]:
    """Call a function with each tuple of arguments, in as many processes as there are workers.

    Parameters
    ----------
    function : callable
        Importable by name.
    tasks : sequence of tuples
        Arguments.
    n_workers : int
        Processes at a time; 1 works in this process.

    Returns
    -------
    list
        Results in the order of the tasks.

    Examples
    --------
    >>> each(max, [(1, 2), (4, 3)], 1)
    [2, 4]
    """
    n_workers = min(n_workers, len(tasks))
    if n_workers <= 1:
        return [function(*task) for task in tasks]
    context = multiprocessing.get_context("forkserver")
    with ProcessPoolExecutor(n_workers, mp_context=context) as pool:
        return [future.result() for future in [pool.submit(function, *task) for task in tasks]]

"""Ranks and workers: the only module that knows MPI, and the one owner of processes.

Everything here also works with ``comm=None``, one process.
"""

import atexit
import multiprocessing
import sys
import time
import types
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

from tessella.errors import DataError

#: How long a rank sleeps between two looks at whether the others are there [s].
_NAP = 0.005


def world(n_ranks: int) -> Any:
    """Return the communicator of all ranks, or None for one.

    From then on an exception that nobody catches ends all ranks, after it was told as it would
    have been: the others would wait for ever for the one that failed.

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
    sys.excepthook = partial(_end_all, MPI.COMM_WORLD, sys.excepthook)
    # A rank that has nothing left to do must not keep a core busy until the others have ended.
    atexit.register(meet, MPI.COMM_WORLD)
    return MPI.COMM_WORLD


def _end_all(
    comm: Any,
    tell_people: Callable[..., Any],
    kind: type[BaseException],
    error: BaseException,
    trace: types.TracebackType | None,
) -> None:
    tell_people(kind, error, trace)
    sys.stderr.flush()
    comm.Abort(1)


def meet(comm: Any) -> None:
    """Wait until all ranks are here, asleep: MPI's own waits take all of a core."""
    if comm is None:
        return
    met = comm.Ibarrier()
    while not met.Test():
        time.sleep(_NAP)


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
    meet(comm)
    return comm.gather(part, root=0)


def gather_all(part: Sequence[Any], comm: Any) -> list[Any]:
    """Put the lists of all ranks one behind the other, in their order, on every rank.

    Examples
    --------
    >>> gather_all([1, 2], None)
    [1, 2]
    """
    if comm is None:
        return list(part)
    meet(comm)
    return [item for one in comm.allgather(list(part)) for item in one]


def exchange(parts: Sequence[Any], comm: Any) -> list[Any]:
    """Give each rank its part, and return what all ranks, in their order, have for this one.

    Examples
    --------
    >>> exchange(["for rank 0"], None)
    ['for rank 0']
    """
    if comm is None:
        return list(parts)
    meet(comm)
    return comm.alltoall(list(parts))


def tell(value: Any, comm: Any) -> Any:
    """Return on all ranks what the first one has; ranks wait for it.

    Examples
    --------
    >>> tell(3, None)
    3
    """
    if comm is None:
        return value
    meet(comm)
    return comm.bcast(value, root=0)


def rank_of(comm: Any) -> tuple[int, int]:
    """Return the number of this rank and how many there are."""
    return (0, 1) if comm is None else (comm.Get_rank(), comm.Get_size())


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

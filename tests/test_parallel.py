import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessella.errors import DataError
from tessella.parallel import each, gather, is_first, share, world


class Rank:
    """What `share` asks of a communicator."""

    def __init__(self, rank, size):
        self.rank, self.size = rank, size

    def Get_rank(self):
        return self.rank

    def Get_size(self):
        return self.size


@given(st.integers(0, 5000), st.integers(1, 64))
def test_ranks_share_all_items_once_and_evenly(n_items, size):
    parts = [share(n_items, Rank(rank, size)) for rank in range(size)]
    ends = [first + count for first, count in parts]
    assert [first for first, _ in parts] == [0, *ends[:-1]]
    assert ends[-1] == n_items
    counts = [count for _, count in parts]
    assert max(counts) - min(counts) <= 1


def test_one_process_needs_no_mpi():
    code = (
        "import sys; from tessella.parallel import gather, world\n"
        "assert gather(3, world(1)) == [3]; assert 'mpi4py' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_one_process_is_the_first():
    assert is_first(None)
    assert gather("a", None) == ["a"]


def test_launcher_that_started_other_ranks_is_refused():
    with pytest.raises(DataError, match="expected 2 ranks, found a world of 1"):
        world(2)


def test_launcher_of_another_library_is_refused():
    code = "from tessella.parallel import world; world(5)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "expected 5 ranks, found a world of 1" in done.stderr.strip().splitlines()[-1]


def double(x):
    return os.getpid(), 2 * x


def test_results_have_the_order_of_the_tasks_whatever_the_workers():
    tasks = [(number,) for number in range(5)]
    alone, pooled = each(double, tasks, 1), each(double, tasks, 2)
    assert [value for _, value in alone] == [value for _, value in pooled] == [0, 2, 4, 6, 8]
    assert {pid for pid, _ in alone} == {os.getpid()}
    assert os.getpid() not in {pid for pid, _ in pooled}


def test_error_of_a_worker_reaches_the_caller():
    with pytest.raises(TypeError):
        each(double, [(None,), (None,)], 2)

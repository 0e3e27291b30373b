"""Ranks: one that fails ends all of them, and those that wait leave the processor alone."""

import subprocess
import sys
from pathlib import Path

import pytest

MPIEXEC = Path(sys.executable).with_name("mpiexec")


def run_on_two(code):
    if not MPIEXEC.is_file():
        pytest.skip(f"{MPIEXEC} is not here")
    command = [str(MPIEXEC), "-n", "2", sys.executable, "-c", code]
    # Ranks that wait for ever fail by the time limit.
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("failing", [0, 1])
def test_error_of_one_rank_is_told_and_ends_all(failing):
    done = run_on_two(
        "from tessella.errors import DataError\n"
        "from tessella.parallel import rank_of, tell, world\n"
        "from tessella.stage import stage_arguments\n"
        "stage_arguments('', ['--sums', 'x'], 'sums')\n"
        "comm = world(2)\n"
        f"if rank_of(comm)[0] == {failing}:\n"
        "    raise DataError('x.asdf: damaged')\n"
        "tell(1, comm)\n"
        "print('went on')\n"
    )
    assert done.returncode != 0
    assert "ERROR: x.asdf: damaged" in done.stderr
    assert "went on" not in done.stdout


def test_ranks_that_wait_take_no_time_of_the_processor():
    # A rank that looked without a rest would take as much as it waits.
    done = run_on_two(
        "import time\n"
        "from tessella.parallel import gather, gather_all, rank_of, tell, world\n"
        "comm = world(2)\n"
        "rank = rank_of(comm)[0]\n"
        "before = time.process_time()\n"
        "for step in range(3):\n"
        "    if rank == 0:\n"
        "        time.sleep(1)\n"
        "    assert tell(step if rank == 0 else None, comm) == step\n"
        "assert gather_all([rank], comm) == [0, 1]\n"
        "parts = gather(time.process_time() - before, comm)\n"
        "if rank == 0:\n"
        "    print(max(parts))\n"
    )
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 1

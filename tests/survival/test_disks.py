"""Full, read-only and failing disks: the fault and the file are named, and nothing is half made."""

import errno
import os
import resource
import shlex
import subprocess
import sys

import pytest
from finished_run import RUN
from survival import runs

from tessella.errors import DataError
from tessella.io.atomic import replacing
from tessella.io.disk import fault_of_disk

_ON_RESULTS = "mkdir results; mount -t tmpfs"


@pytest.fixture
def can_mount():
    """Skip where this user cannot mount a file system of its own."""
    try:
        command = runs.in_namespace("mount -t tmpfs tmpfs /mnt")
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("no `unshare` here (util-linux): no small disk can be mounted")
    if done.returncode:
        pytest.skip(f"no user namespace with mounts here: {done.stderr.decode().strip()}")


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.EIO, errno.ESTALE])
def test_fault_that_shows_when_data_go_to_the_disk_is_named(tmp_path, monkeypatch, number):
    def fsync(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    name = errno.errorcode[number]
    target = tmp_path / "a.txt"
    with pytest.raises(DataError, match=rf"a\.txt: .*\({name}\)"), replacing(target, None) as part:
        part.write_text("whole")
    assert not list(tmp_path.iterdir())


def test_limit_of_file_size_is_named(tmp_path):
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))
    try:
        with pytest.raises(DataError, match="EFBIG"), replacing(tmp_path / "a.txt", None) as part:
            part.write_bytes(bytes(5000))
        assert "EFBIG" in fault_of_disk(tmp_path / "not there")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert not list(tmp_path.iterdir())


def test_every_stage_names_every_fault_and_goes_on_after_it(can_mount, studied, tmp_path):
    works = [tmp_path / "one", tmp_path / "two"]
    for work in works:
        work.mkdir()
    found = runs.study_disks(studied, works)
    assert {entry["stage"] for entry in found} == studied.commands.keys()
    assert all(faults >= 5 for entry in found for faults in entry["killed"].values())
    assert [fault for entry in found for fault in entry["faults"]] == []


@pytest.mark.parametrize(
    ("prepare", "mend", "fault"),
    [
        # The products' disk alone is full: Snakemake's log, beside it, tells what came of it.
        (
            f"{_ON_RESULTS} -o size=500k tmpfs results",
            "mount -o remount,size=100m results",
            "ENOSPC",
        ),
        (f"{_ON_RESULTS} -o ro tmpfs results", "umount results", "EROFS"),
    ],
    ids=["full", "read-only"],
)
def test_run_on_a_disk_that_takes_nothing_says_so_and_ends_equal_once_it_does(
    can_mount, arguments, expected, tmp_path, prepare, mend, fault
):
    commands = runs.snakemake(*arguments), runs.resume(*arguments)
    told, _ = on_a_disk(tmp_path, prepare, commands[0], mend, commands[1])
    assert fault in told
    assert "results/minimal" in told
    assert "Traceback" not in told
    assert runs.products_of(tmp_path / "kept") == expected


def test_disk_that_others_fill_is_named_although_no_log_can_be_written(
    can_mount, arguments, expected, tmp_path
):
    fill = "for i in $(seq 3000); do [ -e results/minimal/seals ] && break; sleep 0.01; done"
    keep = "for i in $(seq 100); do cat /dev/zero >> filler; sleep 0.03; done"
    told, status = on_a_disk(
        tmp_path,
        f"mount -t tmpfs -o size=5m tmpfs .; cd {tmp_path}/disk; ({fill}; {keep}) 2> /dev/null &",
        runs.snakemake(*arguments),
        "wait; rm filler",
        runs.resume(*arguments),
    )
    assert "ENOSPC" in told
    assert "ENOSPC" in status
    assert runs.products_of(tmp_path / "kept") == expected


def on_a_disk(folder, prepare, fails, mend, ends_well):
    """Run a command that fails on a disk, mend the disk, run one that ends well; keep the folder.

    Returns
    -------
    tuple
        What the first one said, and what `tessella status` says of it.
    """
    disk = folder / "disk"
    disk.mkdir()
    script = f"""
    cd {disk}; {prepare}
    cd {disk}; if {shlex.join(fails)} > {folder}/told 2>&1; then exit 3; fi
    {sys.executable} -m tessella status {RUN} > {folder}/status 2>&1 || true
    {mend}
    {shlex.join(ends_well)} > {folder}/resumed 2>&1
    cp -a . {folder}/kept
    """
    done = subprocess.run(
        runs.in_namespace(script), capture_output=True, text=True, check=False, timeout=300
    )
    told, status = ((folder / name).read_text() for name in ("told", "status"))
    assert done.returncode == 0, done.stderr + told[-2000:]
    return told, status

"""Files appear whole or not at all."""

import contextlib
import os
import signal
import subprocess
import sys

import pytest

from tessella.errors import DataError
from tessella.io.atomic import replacing


def test_failed_block_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with contextlib.suppress(RuntimeError), replacing(path, None) as part:
        part.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [child.name for child in tmp_path.iterdir()] == ["a.txt"]


def test_folder_is_made_and_the_name_is_kept(tmp_path):
    with replacing(tmp_path / "new" / "a.asdf", None) as part:
        assert part.name == "a.asdf"
        assert part.parents[1] == tmp_path / "new" / ".a.asdf.part"
        part.write_text("whole")
    assert (tmp_path / "new" / "a.asdf").read_text() == "whole"


def test_block_that_writes_nothing_is_an_error(tmp_path):
    with pytest.raises(DataError, match="ENOENT"), replacing(tmp_path / "a.txt", None):
        pass
    assert not list(tmp_path.iterdir())


def test_killed_writer_leaves_nothing_under_the_final_name(tmp_path):
    path = tmp_path / "a.txt"
    code = (
        "import sys, time\nfrom tessella.io.atomic import replacing\n"
        "with replacing(sys.argv[1], None) as part:\n"
        "    part.write_text('half')\n    print('writing', flush=True)\n    time.sleep(60)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE)
    assert writer.stdout.readline() == b"writing\n"
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    assert not path.exists()
    assert [child.name for child in tmp_path.iterdir()] == [".a.txt.part"]
    with replacing(path, None) as part:
        part.write_text("whole")
    assert [child.name for child in tmp_path.iterdir()] == ["a.txt"]

import subprocess
import sys

import pytest

from tessella.errors import DataError
from tessella.stage import stage_arguments


@pytest.fixture(autouse=True)
def keep_excepthook(monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


def test_kinds_of_arguments():
    names = ("options", "ranks:int", "name:str", "lattice:json", "images*", "mosaic")
    given = ["--options", '{"a": [1, 2]}', "--ranks", "2", "--name", "x", "--lattice", "[3]"]
    args = stage_arguments("Add.", [*given, "--images", "a", "b c", "--mosaic", "m"], *names)
    assert args.options == {"a": [1, 2]}
    assert (args.ranks, args.name, args.lattice) == (2, "x", [3])
    assert [path.name for path in args.images] == ["a", "b c"]
    assert args.mosaic.name == "m"


def test_words_of_a_file_stand_for_it(tmp_path):
    (tmp_path / "list").write_text("a b.asdf\nc.asdf\n")
    args = stage_arguments("Add.", ["--images", f"@{tmp_path}/list"], "images*")
    assert [path.name for path in args.images] == ["a b.asdf", "c.asdf"]


def test_dashes_stand_for_underscores():
    args = stage_arguments("Align.", ["--reference-stars", "s.ecsv"], "reference_stars")
    assert str(args.reference_stars) == "s.ecsv"


def test_every_argument_is_required(capsys):
    with pytest.raises(SystemExit):
        stage_arguments("Add.", [], "mosaic")
    assert "--mosaic" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("error", "said"),
    [("DataError('x.asdf: cut')", "ERROR: x.asdf: cut\n"), ("KeyError('k')", "ERROR: KeyError: ")],
)
def test_error_ends_in_one_line_that_names_it(error, said):
    code = (
        "from tessella.errors import DataError\nfrom tessella.stage import stage_arguments\n"
        f"stage_arguments('A stage.', [])\nraise {error}"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert said in done.stderr
    assert ("Traceback" in done.stderr) == (DataError.__name__ not in error)

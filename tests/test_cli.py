import pytest

from tessella.cli import COMMANDS, main


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_every_command_has_an_example(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([command, "--help"])
    assert ended.value.code == 0
    assert f"example: tessella {command}" in capsys.readouterr().out


@pytest.mark.parametrize("words", [("status", "nowhere"), ("status", "."), ("resume", "-dnowhere")])
def test_error_is_one_line_and_exit_code_1(capsys, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 1
    said = capsys.readouterr().err
    assert said.startswith("ERROR: ")
    assert said.count("\n") == 1


def test_unknown_argument_is_refused(capsys):
    with pytest.raises(SystemExit):
        main(["status", "x", "--colour"])
    assert "--colour" in capsys.readouterr().err

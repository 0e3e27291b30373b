import subprocess
import sys

from tessella.run.processes import processes_in


def test_job_is_found_in_the_folder_it_works_in_alone(tmp_path):
    script = tmp_path / "workflow_scripts/wait.py"
    script.parent.mkdir()
    script.write_text("input()")
    command = [sys.executable, "workflow_scripts/wait.py"]
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE) as job:
        found = processes_in(tmp_path)
        elsewhere = processes_in(script.parent)
        job.communicate(b"\n")
    assert [(process.pid, process.is_snakemake) for process in found] == [(job.pid, False)]
    assert elsewhere == []


def test_nothing_is_left_when_the_job_has_ended(tmp_path):
    assert processes_in(tmp_path) == []


def test_snakemake_that_wraps_a_job_is_a_job(tmp_path):
    script = tmp_path / "snakemake"
    script.write_text("input()")
    command = [sys.executable, str(script), "--mode", "remote"]
    with subprocess.Popen(command, cwd=tmp_path, stdin=subprocess.PIPE) as job:
        found = processes_in(tmp_path)
        job.communicate(b"\n")
    assert [(process.pid, process.is_snakemake) for process in found] == [(job.pid, False)]

"""A throw-away Slurm cluster on the loopback interface: several virtual nodes on one machine.

``with Cluster() as cluster:`` boots a munged, a slurmctld and a slurmd for each node; all state is
in one temporary folder. A guard process takes the cluster down, by its own process numbers only:
when the block is left, and also when the process that runs it is killed.
"""

import getpass
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psutil

DAEMONS = ("slurmctld", "slurmd", "munged")
CLIENTS = ("sbatch", "scancel", "scontrol", "sinfo", "squeue", "srun")
#: Daemons stand where only root looks for them.
SEARCHED = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin"))

# Job tracking without cgroups works in any container; memory is then enforced by what the
# accounting samples, every second. EnforcePartLimits: a job that can never start is refused.
CONFIGURATION = """\
ClusterName=loopback
SlurmctldHost=localhost(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket={folder}/munge.socket
SlurmctldPort={ports[0]}
SlurmctldPidFile={folder}/slurmctld.pid
SlurmctldLogFile={folder}/slurmctld.log
StateSaveLocation={folder}/state
SlurmdPidFile={folder}/slurmd-%n.pid
SlurmdLogFile={folder}/slurmd-%n.log
SlurmdSpoolDir={folder}/%n
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
SlurmdTimeout=5
KillWait=2
MinJobAge=600
OverTimeLimit=0
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=1,sched_min_interval=50000
EnforcePartLimits=ALL
AccountingStorageType=accounting_storage/none
"""
NODE = (
    "NodeName={name} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port}"
    " CPUs=2 RealMemory=8000 State=UNKNOWN\n"
)
PARTITION = "PartitionName=batch Nodes=ALL Default=YES MaxTime=120 DefaultTime=5 State=UP\n"


def missing() -> list[str]:
    """Return the programs of Slurm that this machine does not have."""
    return [name for name in (*DAEMONS, *CLIENTS) if shutil.which(name, path=SEARCHED) is None]


class Cluster:
    """A cluster of virtual nodes ``n1``, ``n2`` ... that lives as long as its ``with`` block."""

    def __init__(self, n_nodes: int = 3) -> None:
        self.nodes = [f"n{number}" for number in range(1, n_nodes + 1)]
        self._seen = 0

    def __enter__(self) -> "Cluster":
        # Sockets have short names: the folder cannot be below pytest's.
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
        self._guard = subprocess.Popen(
            [sys.executable, __file__, str(self.folder)],
            stdin=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            self._configure()
            self._daemon("munged", *self._munge_options())
            self.start_controller()
            for node in self.nodes:
                self.start_node(node)
            wait_until(lambda: self.node_states() == {"idle"}, 60, f"nodes idle, see {self.folder}")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *unused: object) -> None:
        assert self._guard.stdin is not None
        self._guard.stdin.close()
        self._guard.wait()

    def _configure(self) -> None:
        ports = free_ports(1 + len(self.nodes))
        (self.folder / "state").mkdir()
        (self.folder / "munge.key").write_bytes(os.urandom(1024))
        (self.folder / "munge.key").chmod(0o600)
        self.folder.chmod(0o755)  # munged refuses a socket that others could replace
        text = CONFIGURATION.format(folder=self.folder, user=getpass.getuser(), ports=ports)
        text += "".join(
            NODE.format(name=name, port=port)
            for name, port in zip(self.nodes, ports[1:], strict=True)
        )
        (self.folder / "slurm.conf").write_text(text + PARTITION)
        self._wrap_clients()

    def _wrap_clients(self) -> None:
        """Write clients that know this cluster: Snakemake's job step drops all SLURM_ variables."""
        (self.folder / "bin").mkdir()
        for name in CLIENTS:
            wrapper = self.folder / "bin" / name
            real = shutil.which(name, path=SEARCHED)
            wrapper.write_text(f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec {real} "$@"\n')
            wrapper.chmod(0o755)
        # There is no accounting: the executor asks `which` for sacct, and must not find Debian's.
        which = self.folder / "bin/which"
        which.write_text(f'#!/bin/sh\n[ "$1" != sacct ] && exec {shutil.which("which")} "$@"\n')
        which.chmod(0o755)

    def _munge_options(self) -> list[str]:
        places = {
            "key-file": "munge.key",
            "socket": "munge.socket",
            "pid-file": "munged.pid",
            "log-file": "munged.log",
            "seed-file": "munge.seed",
        }
        return ["--force", *(f"--{name}={self.folder / file}" for name, file in places.items())]

    def _daemon(self, name: str, *options: str) -> None:
        program = shutil.which(name, path=SEARCHED)
        assert program is not None
        subprocess.run([program, *options], env=self.environment, check=True, capture_output=True)

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which a process sees this cluster and no other."""
        kept = {key: value for key, value in os.environ.items() if not key.startswith("SLURM_")}
        path = os.pathsep.join((str(self.folder / "bin"), kept.get("PATH", "")))
        return {**kept, "SLURM_CONF": str(self.folder / "slurm.conf"), "PATH": path}

    def answers(self) -> bool:
        """Tell whether the controller does."""
        ping = subprocess.run(["scontrol", "ping"], env=self.environment, capture_output=True)
        return ping.returncode == 0

    def ask(self, *command: str) -> str:
        """Run a client of Slurm and return what it says."""
        return subprocess.run(
            command, env=self.environment, check=True, capture_output=True, text=True
        ).stdout.strip()

    def start_controller(self) -> None:
        """Start the controller, with the jobs that it knew when it was stopped."""
        self._daemon("slurmctld", "-f", str(self.folder / "slurm.conf"))
        wait_until(self.answers, 30, "controller up")

    def stop_controller(self) -> None:
        """Stop the controller, which keeps its state; what runs on the nodes goes on."""
        controller = psutil.Process(pid_of(self.folder / "slurmctld.pid"))
        controller.terminate()
        controller.wait(30)

    def start_node(self, node: str) -> None:
        """Start a node, also one that was killed."""
        self._daemon("slurmd", "-N", node, "-f", str(self.folder / "slurm.conf"))

    def kill_node(self, node: str) -> None:
        """Take a node away at once, with all that runs on it."""
        daemon = pid_of(self.folder / f"slurmd-{node}.pid")
        for process in [psutil.Process(daemon), *steps(self.folder / node)]:
            kill(process)

    def node_states(self) -> set[str]:
        """Return the states that nodes are in."""
        return set(self.ask("sinfo", "--noheader", "--Node", "--format=%T").split())

    def jobs(self, states: str = "PENDING,RUNNING,SUSPENDED,COMPLETING") -> dict[int, str]:
        """Return the jobs in some states, with what they are about (rule and wildcards)."""
        said = self.ask("squeue", "--noheader", f"--states={states}", "--format=%A %k")
        lines = [line.split(maxsplit=1) for line in said.splitlines()]
        return {int(number): comment for number, comment in lines}

    def state_of(self, job: int) -> str:
        """Return the state of a job, as Slurm names it."""
        return self.ask("squeue", "--noheader", "--states=all", f"--jobs={job}", "--format=%T")

    def mark(self) -> None:
        """Have `asked` begin after the jobs that there have been until now."""
        self._seen = len(self._all("%A"))

    def asked(self, what: str) -> list[str]:
        """Return a field of all jobs since `mark`, in the order of their submission."""
        return self._all(what)[self._seen :]

    def _all(self, what: str) -> list[str]:
        said = self.ask("squeue", "--noheader", "--states=all", "--sort=i", f"--format={what}")
        return said.splitlines()

    def processes(self) -> list[psutil.Process]:
        """Return the processes of jobs: those that have this cluster in their environment."""
        return [process for process in mentioning(self.folder) if not is_daemon(process)]

    def rest(self) -> None:
        """Wait until no job and no process of a job is left."""
        wait_until(lambda: not self.jobs(), 30, "no job left in the queue")
        wait_until(lambda: not self.processes(), 30, "no process of a job left")


def is_daemon(process: psutil.Process) -> bool:
    """Tell whether a process is the cluster's own."""
    try:
        return process.name() in DAEMONS
    except psutil.NoSuchProcess:
        return True


def mentioning(folder: Path) -> list[psutil.Process]:
    """Return the processes, other than this one, that have a folder in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            values = process.environ().values()
        except (psutil.Error, OSError):
            continue
        if process.pid != os.getpid() and any(str(folder) in value for value in values):
            found.append(process)
    return found


def steps(spool: Path) -> list[psutil.Process]:
    """Return the processes that run the jobs' steps of a node: they listen below its folder."""
    found = []
    for process in psutil.process_iter(["name"]):
        if process.info["name"] == "slurmstepd":
            try:
                sockets = process.net_connections(kind="unix")
            except psutil.Error:
                continue
            if any(str(one.laddr).startswith(f"{spool}/") for one in sockets):
                found.append(process)
    return found


def kill(process: psutil.Process) -> None:
    """Kill a process and all its descendants."""
    try:
        family = [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return
    for member in family:
        try:
            member.kill()
        except psutil.NoSuchProcess:
            continue


def pid_of(file: Path) -> int:
    """Read the process number that a daemon has left."""
    return int(file.read_text())


def free_ports(n: int) -> list[int]:
    """Return ports of the loopback interface that nobody listens at."""
    sockets = [socket.socket() for _ in range(n)]
    try:
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def wait_until(holds: Callable[[], object], seconds: float, what: str) -> None:
    """Wait until something holds; a deadline that passes is a failure."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {seconds} s in vain: {what}")
        time.sleep(0.2)


def take_down(folder: Path) -> None:
    """End all that belongs to a cluster, jobs first, and remove its folder."""
    for spool in folder.glob("n*[0-9]"):
        for process in steps(spool):
            kill(process)
    daemons = [*folder.glob("slurmd-*.pid"), folder / "slurmctld.pid", folder / "munged.pid"]
    for file in daemons:
        if file.exists() and psutil.pid_exists(pid_of(file)):
            kill(psutil.Process(pid_of(file)))
    for process in mentioning(folder):
        kill(process)
    shutil.rmtree(folder)


if __name__ == "__main__":  # the guard: its standard input ends with the process that started it
    sys.stdin.read()
    take_down(Path(sys.argv[1]))

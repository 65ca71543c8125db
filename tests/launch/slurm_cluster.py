"""A SLURM cluster of two nodes on this machine, in a directory of its own."""

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path

DAEMONS = ("munged", "slurmctld", "slurmd")
COMMANDS = ("sbatch", "squeue", "scancel", "scontrol", "srun", "sinfo")

CONF = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={base}/munge/socket
StateSaveLocation={base}/state
SlurmdSpoolDir={base}/spool-%n
SlurmctldPidFile={base}/slurmctld.pid
SlurmdPidFile={base}/slurmd-%n.pid
SlurmctldLogFile={base}/slurmctld.log
SlurmdLogFile={base}/slurmd-%n.log
MailProg=/bin/true
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=2
SlurmdParameters=config_overrides
ReturnToService=2
KillWait=10
MinJobAge=600
NodeName=n1 NodeHostname={host} NodeAddr=127.0.0.1 Port={first} CPUs=4 RealMemory=500 State=UNKNOWN
NodeName=n2 NodeHostname={host} NodeAddr=127.0.0.1 Port={second} CPUs=4 RealMemory=500 State=UNKNOWN
PartitionName=test Nodes=n1,n2 Default=YES MaxTime=60 State=UP
"""


def missing():
    """What stands in the way of a cluster here; nothing if it can run."""
    names = [name for name in (*DAEMONS, *COMMANDS) if shutil.which(name, path=path()) is None]
    if names:
        return f"not installed: {', '.join(names)}"
    return "" if os.getuid() == 0 else "the daemons want root"


def path():
    return os.environ["PATH"] + os.pathsep + "/usr/sbin"


class Cluster:
    """Daemons that are started by `with`, and killed at its end."""

    def __init__(self, base: Path) -> None:
        self.base = base
        self.environment = {**os.environ, "SLURM_CONF": str(base / "slurm.conf"), "PATH": path()}
        self._daemons: list[subprocess.Popen[bytes]] = []

    def __enter__(self):
        for folder in ("munge", "state", "spool-n1", "spool-n2"):
            (self.base / folder).mkdir(parents=True, mode=0o755)
        ports = [_free_port() for _ in range(3)]
        host = socket.gethostname().split(".")[0]
        (self.base / "slurm.conf").write_text(
            CONF.format(base=self.base, host=host, port=ports[0], first=ports[1], second=ports[2])
        )
        try:
            self._start_all()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self._clear()
        for daemon in reversed(self._daemons):
            daemon.terminate()
            try:
                daemon.wait(5)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()

    def run(self, *command):
        return subprocess.run(
            command, env=self.environment, capture_output=True, text=True, check=True, timeout=60
        ).stdout

    def _clear(self):
        """Ends jobs that a failed test left: without the daemons they would run on."""
        with contextlib.suppress(subprocess.SubprocessError, OSError, TimeoutError):
            self.run("scancel", "--signal=KILL", "--full", "--me")
            self._wait(lambda: not self.run("squeue", "--noheader"), "empty queue", 15)

    def _start_all(self):
        munge = self.base / "munge"
        key = munge / "key"
        key.write_bytes(secrets.token_bytes(256))
        key.chmod(0o400)
        files = {"socket": "socket", "key-file": "key", "pid-file": "pid", "seed-file": "seed"}
        options = [f"--{option}={munge / name}" for option, name in files.items()]
        self._start("munged", "--foreground", "--force", f"--log-file={munge / 'log'}", *options)
        self._wait(lambda: (munge / "socket").exists(), "munged")
        self._start("slurmctld", "-D")
        self._start("slurmd", "-D", "-N", "n1")
        self._start("slurmd", "-D", "-N", "n2")
        self._wait(lambda: self._idle() == 2, "two idle nodes")

    def _idle(self):
        try:
            return self.run("sinfo", "--noheader", "--Node", "--format=%T").split().count("idle")
        except subprocess.SubprocessError:
            return 0

    def _start(self, *command):
        with (self.base / f"{command[0]}-{len(self._daemons)}.out").open("ab") as out:
            self._daemons.append(
                subprocess.Popen(command, env=self.environment, stdout=out, stderr=out)
            )

    @staticmethod
    def _wait(condition, what, seconds=30):
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"no {what} within {seconds} s")
            time.sleep(0.2)


def _free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]

"""The hardware sections of a job file, one per engine."""

import re
from dataclasses import dataclass, field

from . import tpu_slices
from .errors import LaunchError

MOST = {"processes": 1024, "gpus_per_process": 64, "gpus": 64, "gpus_per_node": 64}
MOST |= {"tasks_per_node": 1024, "grace": 86_400, "warning": 86_400, "max_hours": 8784}
MAX_OTHERS = 10_000
"""Upper limits of the numbers in a section; the last one is for keys that are not listed."""


@dataclass(frozen=True)
class Tpu:
    """Cloud TPU queued resources.

    Attributes:
      accelerator: type and size of a slice, such as v5litepod-16.
      zone, project: zone and project of Google Cloud.
      spot: whether to use spot capacity, which is cheaper and may be preempted at any time.
      reserved: whether to use a reservation.
      slices: number of slices, connected by the data-centre network.
      image: runtime version; by default the one for the accelerator.
      service_account: service account of the workers (for the bucket and Secret Manager).
      network: VPC network; by default the project's default network.
      wait: time limit for the request in the queue, such as 6h.
      max_hours: hours after which the launcher stops the job and deletes the slice.
    """

    accelerator: str
    zone: str
    project: str
    spot: bool = True
    reserved: bool = False
    slices: int = 1
    image: str | None = None
    service_account: str | None = None
    network: str | None = None
    wait: str | None = None
    max_hours: int = 72

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
          LaunchError: a value is invalid, or two exclude each other.
        """
        tpu_slices.of_accelerator(self.accelerator)
        at_least("tpu", slices=self.slices, max_hours=self.max_hours)
        if self.spot and self.reserved:
            raise LaunchError("tpu: spot and reserved exclude each other; set `spot: false`.")
        if self.wait is not None and not re.fullmatch("[1-9][0-9]*[smhd]", self.wait):
            raise LaunchError(f"tpu: wait {self.wait!r} must be a number with s, m, h or d: 6h.")


@dataclass(frozen=True)
class Gke:
    """A JobSet on Kubernetes: TPU slices, or GPU nodes.

    Attributes:
      accelerator: GKE's name, such as tpu-v5-lite-podslice or nvidia-h100-80gb.
      topology: topology of a TPU slice, such as 4x4; leave it out for GPUs.
      slices: number of TPU slices.
      nodes, gpus: number of GPU machines, and of GPUs per machine.
      spot: whether to use spot machines.
      namespace, queue: namespace of Kubernetes, and queue of Kueue if it is used.
      service_account: Kubernetes service account with access to the bucket.
      secret: Kubernetes Secret with the values of `secrets`.
      claim: PersistentVolumeClaim mounted at `mount`, for a work directory that is not a bucket.
      grace: seconds between SIGTERM and SIGKILL; at most 25 on spot machines.
    """

    accelerator: str
    topology: str | None = None
    slices: int = 1
    nodes: int = 1
    gpus: int = 0
    spot: bool = True
    namespace: str = "default"
    queue: str | None = None
    service_account: str | None = None
    secret: str = "trm-secrets"
    claim: str | None = None
    mount: str = "/shared"
    grace: int = 120

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
          LaunchError: a value is invalid, or two exclude each other.
        """
        at_least("gke", slices=self.slices, nodes=self.nodes, grace=self.grace)
        at_least("gke", low=0, gpus=self.gpus)
        if (self.topology is None) == (self.gpus == 0):
            raise LaunchError("gke: set either `topology` (TPU) or `gpus` (GPUs of each node).")
        if self.topology is not None:
            tpu_slices.of_topology(self.accelerator, self.topology)
        if self.nodes > 1 and self.topology is not None:
            raise LaunchError("gke: `nodes` is for GPUs; a TPU job has `slices`.")
        if self.slices > 1 and self.topology is None:
            raise LaunchError("gke: `slices` is for TPUs; a GPU job has `nodes`.")


@dataclass(frozen=True)
class Slurm:
    """A SLURM cluster, with one task per GPU, as JAX expects from SLURM's environment.

    Attributes:
      nodes, tasks_per_node: number of nodes, and of tasks per node (equal to its GPUs).
      gpus_per_node: GPUs per node; 0 for CPU jobs.
      time: time limit of one allocation, such as 24:00:00; the job resumes in the next one.
      partition, account, constraint: names of the cluster.
      cpus_per_task, memory: CPU cores per task; memory per node, such as 64G.
      directory: folder on the shared file system in which tasks run, such as a checkout.
      setup: shell lines that make `trm` available on a node.
      warning: seconds before the time limit at which tasks are told to save a checkpoint.
      at_once: maximum number of runs of a sweep at the same time.
      secrets_file: shell file of `export NAME=value` lines, readable only by its owner.
    """

    nodes: int
    tasks_per_node: int
    time: str
    directory: str
    gpus_per_node: int = 0
    partition: str | None = None
    account: str | None = None
    constraint: str | None = None
    cpus_per_task: int | None = None
    memory: str | None = None
    setup: tuple[str, ...] = ()
    warning: int = 120
    at_once: int = 4
    secrets_file: str = "$HOME/.config/trm/secrets.env"

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
          LaunchError: a value is invalid, or two exclude each other.
        """
        at_least(
            "slurm",
            nodes=self.nodes,
            tasks_per_node=self.tasks_per_node,
            warning=self.warning,
            at_once=self.at_once,
            cpus_per_task=self.cpus_per_task or 1,
        )
        if self.gpus_per_node not in (0, self.tasks_per_node):
            raise LaunchError(
                f"slurm: tasks_per_node {self.tasks_per_node} and gpus_per_node "
                f"{self.gpus_per_node} must be equal, because each task claims one GPU."
            )
        if not re.fullmatch(r"(\d+-)?\d{1,2}(:\d{2}){0,2}|\d+(:\d{2}){0,2}", self.time):
            raise LaunchError(f"slurm: time {self.time!r} must be such as 24:00:00 or 2-00:00:00.")


@dataclass(frozen=True)
class Local:
    """Processes on this machine.

    Attributes:
      processes: number of processes; one alone uses all devices of the machine.
      gpus_per_process: number of GPUs per process, in order; 0 for all.
      grace: seconds between SIGTERM and SIGKILL when the processes are stopped.
    """

    processes: int = 1
    gpus_per_process: int = 0
    grace: int = 60

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
          LaunchError: a value is invalid, or two exclude each other.
        """
        at_least("local", processes=self.processes, grace=self.grace)
        at_least("local", low=0, gpus_per_process=self.gpus_per_process)


@dataclass(frozen=True)
class Sky:
    """A managed job of SkyPilot.

    Attributes:
      accelerators: SkyPilot's name, such as H100:8 or tpu-v6e-16.
      infra: cloud and region, such as gcp/us-central1; SkyPilot chooses by default.
      nodes: number of machines of a GPU job; a TPU slice of any size is one node.
      spot: whether to use spot machines; SkyPilot restarts a preempted job elsewhere.
      labels: labels of the cloud's machines.
    """

    accelerators: str
    infra: str | None = None
    nodes: int = 1
    spot: bool = True
    labels: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Checks the values.

        Raises:
          LaunchError: a value is invalid, or two exclude each other.
        """
        at_least("sky", nodes=self.nodes)
        for word in (*self.labels, *self.labels.values()):
            if not re.fullmatch("([A-Za-z0-9][A-Za-z0-9_.-]{0,62})?", word):
                raise LaunchError("sky: labels must be of 63 letters, digits, '_', '.' and '-'.")

    @property
    def tpu(self) -> bool:
        """Whether the accelerator is a TPU slice."""
        return self.accelerators.lower().startswith("tpu")


def at_least(section: str, low: int = 1, **numbers: int) -> None:
    """Refuses numbers below `low` or above the limits of `MOST`.

    Raises:
      LaunchError: names the section, the key and the number.
    """
    for key, number in numbers.items():
        if number < low:
            raise LaunchError(f"{section}: {key} must be {low} or more, not {number}.")
        if number > MOST.get(key, MAX_OTHERS):
            raise LaunchError(
                f"{section}: {key} must be {MOST.get(key, MAX_OTHERS)} or less, not {number}."
            )

"""Several trajectories per question: noise, restarts, symmetric copies, several checkpoints."""

import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.core.mesh import replicated, to_global, whole_slots
from trm_jax.core.symmetries import GridSymmetry
from trm_jax.data.questions import Questions
from trm_jax.data.views import Grids, Numbers
from trm_jax.infer.halting import Entries, Finished, Halt, answer_queue
from trm_jax.infer.perturbation import NOTHING, Perturbation
from trm_jax.infer.selection import FIRST, SELECTIONS
from trm_jax.models import Model
from trm_jax.models.weights import Weights
from trm_jax.tasks.task import SYMMETRIES, task_of

QUEUE = 16
"""Trajectories per call, as a multiple of the slots: slots are idle only at the end of a call."""

MAX_BYTES = 2**32
"""Maximum size of the answers of one question's trajectories, in bytes."""


@dataclasses.dataclass(frozen=True)
class Search:
    """Settings of a search.

    A question has one trajectory for each combination of checkpoint, rollout and copy; trajectory
    r * copies + c of a checkpoint is rollout r of copy c.

    Attributes:
      halt: when a trajectory stops.
      rollouts: number of rollouts of each copy; more than one needs a perturbation.
      copies: number of symmetric copies, including the original.
      symmetry: kind of the copies, one of `tasks.task.SYMMETRIES`.
      perturbation: randomness of the trajectories.
      select: how the answer is selected, a key of `selection.SELECTIONS`; with "first" a confident
        trajectory stops the others of its question.
    """

    halt: Halt
    rollouts: int = 1
    copies: int = 1
    symmetry: str = SYMMETRIES[0]
    perturbation: Perturbation = dataclasses.field(default_factory=Perturbation)
    select: str = next(iter(SELECTIONS))

    def __post_init__(self) -> None:
        """Validates the settings.

        Raises:
          UserError: settings are invalid, or do not fit together.
        """
        if self.rollouts < 1 or self.copies < 1:
            raise UserError(
                f"--rollouts is {self.rollouts} and --copies is {self.copies}; both must be 1 or "
                "more."
            )
        if self.rollouts > 1 and not self.perturbation.random:
            raise UserError(
                f"{self.rollouts} rollouts without noise or restarts are all identical; add "
                "--noise, for example 0.3, or --restart."
            )
        if self.race and self.halt.threshold == 1:
            raise UserError("--select=first needs a halting rule; add --halt.")

    @property
    def name(self) -> str:
        """The settings as part of a file name; those with default values are left out."""
        halt, random = self.halt, self.perturbation
        halts = halt.threshold < 1
        parts = {
            "halting" if halts else "depth": halt.max_steps,
            "threshold": halt.threshold if halts and halt.threshold != 0.5 else "",
            "least": halt.min_steps if halt.min_steps > 1 else "",
            "patience": halt.patience if halt.patience > 1 else "",
            "rollouts": self.rollouts if random.random else "",
            f"noise-{random.noise_on}": random.noise or "",
            "restart-": random.restart if random.restart != NOTHING else "",
            f"{self.symmetry}-copies": self.copies if self.copies > 1 else "",
            "select-": self.select if self.select != next(iter(SELECTIONS)) else "",
            "seed": random.seed or "",
        }
        return "-".join(f"{key}{value}" for key, value in parts.items() if value != "")

    @property
    def paths(self) -> int:
        """Number of trajectories per question and checkpoint."""
        return self.rollouts * self.copies

    @property
    def race(self) -> bool:
        """Whether a confident trajectory stops the others of its question."""
        return self.select == FIRST

    def facts(self, checkpoints: int) -> dict[str, Any]:
        """The entries of an evaluation: `how`, a short name, and `search`, all settings.

        Args:
          checkpoints: number of checkpoints.
        """
        settings = dataclasses.asdict(self) | {"checkpoints": checkpoints}
        # the keys of the evaluations that exist already
        keys = {"max_steps": "most", "min_steps": "least"}
        settings["halt"] = {keys.get(key, key): value for key, value in settings["halt"].items()}
        return {"how": self.name, "search": settings}

    def number(self, checkpoint: int, path: int | Numbers) -> Any:
        """The index of a checkpoint's trajectory among all trajectories of its question."""
        return checkpoint * self.paths + path

    def symmetries(self, questions: Questions) -> GridSymmetry | None:
        """The symmetry of each copy; None without copies.

        Raises:
          UserError: the task has too few symmetries of this kind.
        """
        if self.copies == 1:
            return None
        shape = questions.dataset.manifest
        seed = self.perturbation.seed
        found = task_of(shape).symmetries(shape, self.symmetry, self.copies, seed)
        if len(found) < self.copies:
            raise UserError(
                f"--copies is {self.copies}, but these puzzles have {len(found)} symmetries of the "
                f"kind {self.symmetry!r}; give fewer, or another --symmetry of "
                f"{', '.join(SYMMETRIES)}."
            )
        return found.take(np.arange(self.copies))


class Found(NamedTuple):
    """Results of q questions with K trajectories each, over all checkpoints.

    Attributes:
      answers: uint8 [K, q, S], mapped back to the original puzzle.
      halt_logits: float32 [K, q]; -inf where a trajectory was not run to its end.
      confident: bool [K, q], whether the halting rule was satisfied.
      steps: int32 [K, q]; 0 where a trajectory was not run to its end.
      rounds: supervision steps of the whole batch.
      work: supervision steps summed over the slots.
    """

    answers: Grids
    halt_logits: NDArray[np.float32]
    confident: NDArray[np.bool_]
    steps: NDArray[np.int32]
    rounds: int
    work: int


def _check_copies(model: Model, search: Search) -> None:
    """Refuses copies to which the model, being equivariant, would give the same answer."""
    alike = model.mixer.repeats_answers(model.config, search.symmetry)
    if alike and search.copies > 1 and not search.perturbation.random:
        raise UserError(
            f"{search.copies} copies with --symmetry={search.symmetry} get the same answer from a "
            f"model whose config.model.mixer is {model.config.mixer!r}; give another of "
            f"{', '.join(SYMMETRIES)}."
        )


class Searcher:
    """The compiled queue of a model and a search; its only state is the compiled program."""

    def __init__(
        self, model: Model, questions: Questions, search: Search, *, batch_size: int, mesh: Mesh
    ) -> None:
        """Builds the program; the first call compiles it.

        Args:
          model: from the registry.
          questions: all questions that will be searched.
          search: settings of the search.
          batch_size: number of slots; rounded up to a multiple of the devices.
          mesh: mesh that the slots are split over.

        Raises:
          UserError: the search does not fit the model or the task, or the answers of a single
            question need too much memory.
        """
        search.perturbation.check(model.state_names)
        _check_copies(model, search)
        self._questions, self._search, self._mesh = questions, search, mesh
        self._symmetries = search.symmetries(questions)
        needed = search.paths * model.config.cells
        if needed > MAX_BYTES:
            raise UserError(
                f"{search.paths:,} trajectories of a puzzle need {needed / 2**30:,.0f} GiB for "
                "their answers alone; give fewer rollouts or copies."
            )
        slots = whole_slots(min(batch_size, len(questions) * search.paths), mesh)
        self.questions_per_call = min(max(QUEUE * slots // search.paths, 1), len(questions))
        self._size = self.questions_per_call * search.paths
        self._run: Callable[..., Finished] = jax.jit(
            functools.partial(
                answer_queue,
                model,
                slots=slots,
                halt=search.halt,
                mesh=mesh,
                perturbation=search.perturbation,
                race=search.race,
            ),
            out_shardings=replicated(mesh),
        )

    def calls(self) -> Iterator[Numbers]:
        """Yields the indices of the questions of each call."""
        for first in range(0, len(self._questions), self.questions_per_call):
            yield np.arange(first, min(first + self.questions_per_call, len(self._questions)))

    def find(
        self, checkpoints: Sequence[Weights], places: Numbers, rows: NDArray[np.int32]
    ) -> tuple[Grids, Grids, Found]:
        """Searches the questions at `places`.

        Args:
          checkpoints: weights of one or more checkpoints.
          places: int [q], indices of questions, from `calls`.
          rows: int32 [R], row of the puzzle table for each row of the questions' dataset.

        Returns:
          Inputs uint8 [q, S], labels uint8 [q, S], and the results.
        """
        inputs, labels, ids = self._questions.show(places)
        paths, cells = self._search.paths, inputs.shape[1]
        shape = (len(checkpoints), paths, len(places))
        answers = np.zeros((*shape, cells), np.uint8)
        logits = np.full(shape, -np.inf, np.float32)
        confident, steps = np.zeros(shape, bool), np.zeros(shape, np.int32)
        rounds = work = 0
        open_ = np.arange(len(places))
        for number, weights in enumerate(checkpoints):
            if not len(open_):
                break
            done = self._ask(weights, inputs[open_], rows[ids[open_]], places[open_], number)
            ran = done.steps > 0
            here = (number, slice(None), open_)
            # advanced indices in front: [q, K, ...]
            answers[here] = done.answers.swapaxes(0, 1)
            logits[here] = np.where(ran, done.halt_logits, -np.inf).T
            confident[here], steps[here] = done.confident.T, done.steps.T
            rounds, work = rounds + int(done.rounds), work + int(done.work)
            if self._search.race:
                open_ = open_[~done.confident.any(axis=0)]
        together = (len(checkpoints) * paths, len(places))
        found = Found(
            answers=answers.reshape(*together, cells),
            halt_logits=logits.reshape(together),
            confident=confident.reshape(together),
            steps=steps.reshape(together),
            rounds=rounds,
            work=work,
        )
        return inputs, labels, found

    def _ask(
        self,
        weights: Weights,
        inputs: Grids,
        ids: NDArray[np.int32],
        places: Numbers,
        checkpoint: int,
    ) -> Any:
        """Runs one call; fields of `Finished` as [K, q, ...], answers mapped back."""
        paths, count = self._search.paths, len(places) * self._search.paths
        # the first trajectories of all questions, then the second ones, and so on: in a race, most
        # later ones are no longer needed when their turn comes
        trajectory, group = np.divmod(np.arange(count), len(places))
        copy = trajectory % self._search.copies
        fields: dict[str, Any] = {
            "inputs": turn(self._symmetries, inputs[group], copy),
            "ids": ids[group],
            "question": places[group],
            "trajectory": self._search.number(checkpoint, trajectory),
            "group": group,
        }
        entries = Entries(**{name: a.astype(np.int32) for name, a in fields.items()})
        padded = jax.tree.map(lambda a: np.resize(a, (self._size, *a.shape[1:])), entries)
        given = to_global((padded, np.asarray(count, np.int32)), replicated(self._mesh))
        done = jax.device_get(self._run(weights, *given))
        names = ("answers", "halt_logits", "steps", "confident")
        cut = {name: getattr(done, name)[:count] for name in names}
        cut["answers"] = turn_back(self._symmetries, cut["answers"], copy)
        shaped = {name: a.reshape(paths, len(places), *a.shape[1:]) for name, a in cut.items()}
        return done.replace(**shaped)


def turn(symmetries: GridSymmetry | None, grids: Grids, copies: Numbers) -> Grids:
    """Maps grids [b, S] to their copies by the symmetries of index `copies` [b]; None: as is."""
    return symmetries.take(copies).apply(grids) if symmetries else grids


def turn_back(symmetries: GridSymmetry | None, grids: Grids, copies: Numbers) -> Grids:
    """The inverse of `turn`."""
    return symmetries.take(copies).invert().apply(grids) if symmetries else grids

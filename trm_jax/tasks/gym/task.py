"""The grids of reasoning-gym as a task, with its generators and its verifiers."""

import dataclasses
import functools
import importlib.metadata
from typing import Any, ClassVar

import numpy as np

from trm_jax.core.errors import UserError
from trm_jax.core.randomness import derive_seed
from trm_jax.core.settings import Settings, setting
from trm_jax.data.choice import check_counts
from trm_jax.data.format import Dataset, assemble
from trm_jax.tasks.grid.encoding import encode_known
from trm_jax.tasks.grid.likeness import Likeness
from trm_jax.tasks.grid.pairs import Pair
from trm_jax.tasks.grid.task import GridTask
from trm_jax.tasks.grid.vocabulary import BLANK, Form
from trm_jax.tasks.gym.suites import SUITES, Rows, Suite
from trm_jax.tasks.task import Request, Shape, Tokens

PACKAGE = "reasoning-gym"
BUILDER_VERSION = 1
PATIENCE = 1000
"""Number of known puzzles in a row after which no new ones are expected."""


@dataclasses.dataclass(frozen=True)
class GymSettings(Settings):
    """Settings of the datasets of reasoning-gym."""

    GROUP: ClassVar[str] = "config.data.gym"

    dataset: str = setting("mini_sudoku", "Name of the dataset.", choices=tuple(SUITES))
    side: int = setting(
        0, "Number of rows of a board, if there is a choice; 0 for the usual one.", low=0, high=100
    )
    parameters: str = setting(
        "", "Parameters of the generator, by its own names, as in 'min_empty=6,max_empty=8'."
    )
    symmetries: bool = setting(
        False,
        "Whether the puzzles' symmetries give augmented copies; no copy of a held-out puzzle is "
        "then trained on.",
    )


class GymTask(GridTask):
    """Generated grids; reasoning-gym's `score_answer` verifies answers."""

    name = "gym"
    settings: ClassVar[type[Settings]] = GymSettings
    counts: ClassVar = {"train": 1000, "heldout": 200, "test": 0}
    shape_keys: ClassVar[tuple[str, ...]] = (*GridTask.shape_keys, "dataset", "side", "given")
    takes_directories = False

    def build(self, request: Request) -> Dataset:
        """See `Task`: with the dataset's generator."""
        if request.source != "generate":
            raise UserError(
                f"the puzzles of reasoning-gym are generated, and the source is "
                f"{request.source!r}; leave it out."
            )
        counts = {"heldout": request.heldout, "test": request.test, "train": request.train}
        check_counts(request.source, **counts)
        shape = self.shapes(request.settings)
        likeness = Likeness.of(shape)
        seen: set[bytes] = set()
        parts = [
            _distinct(shape, name, count, request.seed, seen, likeness)
            for name, count in counts.items()
        ]
        ends = np.cumsum([0, *counts.values()])
        splits = {
            name: np.arange(first, last)
            for name, first, last in zip(counts, ends, ends[1:], strict=False)
            if last > first
        }
        facts = {"kind": "generate", "name": PACKAGE, "version": _version()}
        inputs, labels = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        manifest: dict[str, Any] = {
            "task": self.name,
            **shape,
            "source": facts,
            "seed": request.seed,
        }
        manifest |= {"table_rows": 1, "builder_version": BUILDER_VERSION}
        return assemble(inputs, labels, np.zeros(len(inputs), np.int32), splits, manifest)

    def build_test(self, path: str, shape: Shape) -> Dataset:
        """See `Task`: refused, since all puzzles are generated."""
        self.lacks("files of test puzzles", f"give a dataset of `trm data gym` in place of {path}")

    def shapes(self, settings: Any) -> dict[str, Any]:
        """See `Task`."""
        suite = SUITES[settings.dataset]
        low, usual, high = suite.sides
        side = settings.side or usual
        if not low <= side <= high:
            name = f"{settings.GROUP}.side"
            raise UserError(f"{name} is {side}; {settings.dataset} has {low} to {high}.")
        form, own = suite.form(side), suite.parameters(side)
        given = _parameters(settings)
        for name in given.keys() & {"seed", "size", *own}:
            raise UserError(
                f"config.data.gym.parameters has {name!r}, which follows from other settings; "
                "leave it out."
            )
        alike = form.alphabet if suite.alike and settings.symmetries else ()
        return form.to_dict() | {
            "dataset": settings.dataset,
            "side": side,
            "given": given,
            "symmetries": settings.symmetries,
            "turns": suite.turns and settings.symmetries,
            "alike": list(alike),
            "looks": "letters",
        }

    def summary(self, shape: Shape) -> str:
        """See `Task`."""
        more = "".join(f", {key} {value}" for key, value in shape["given"].items())
        return f"{shape['dataset']}{more}; {super().summary(shape)}"

    def check(self, shape: Shape, question: Tokens, answer: Tokens) -> list[str]:
        """See `Task`: with the dataset's own verifier."""
        form, suite = Form.of(shape), SUITES[shape["dataset"]]
        if (answer < BLANK).any() or (form.blank and (answer == BLANK).any()):
            return ["cells are blank"]
        kept = np.isin(question, form.open_tokens()) | (question == answer)
        if not kept.all():
            return ["a given was changed"]
        rows = _symbols(form, question), _symbols(form, answer)
        return _judged(suite, _dataset(shape), *rows)

    def accepts(self, shape: Shape, questions: Tokens, answers: Tokens) -> Any:
        """See `Task`."""
        broken = [self.check(shape, q, a) for q, a in zip(questions, answers, strict=True)]
        return np.asarray([not each for each in broken], bool)

    def random_questions(self, shape: Shape, count: int) -> Tokens:
        """See `Task`: generated questions."""
        seen: set[bytes] = set()
        return _distinct(shape, "train", count, 0, seen, Likeness.of({**shape, **_NO_SYMMETRY}))[0]

    def title(self, shape: Shape) -> str:
        """See `Task`."""
        return f"{shape['dataset']} of reasoning-gym"


_NO_SYMMETRY = {"turns": False, "alike": ()}


def _judged(suite: Suite, dataset: Any, question: Rows, answer: Rows) -> list[str]:
    entry = suite.entry(dataset, question)
    if entry is None:
        return ["the question has no solution"]
    score = dataset.score_answer(suite.text(answer), entry)
    return [] if score == 1 else [f"reasoning-gym's verifier gives it {score:.2f} of 1"]


def _symbols(form: Form, tokens: Tokens) -> Rows:
    names = {token: symbol for symbol, token in form.tokens.items()}
    grid = tokens.reshape(form.rows, form.columns).tolist()
    return [[names[token] for token in row] for row in grid]


def _distinct(
    shape: Shape, split: str, count: int, seed: int, seen: set[bytes], likeness: Likeness
) -> tuple[Tokens, Tokens]:
    """Generates puzzles that are not in `seen`, and adds their keys to it.

    Raises:
      UserError: there are fewer than requested.
    """
    form, suite = Form.of(shape), SUITES[shape["dataset"]]
    dataset = _dataset(shape, derive_seed(seed, f"reasoning-gym: {split}") >> 1)
    pairs: list[Pair] = []
    number = missed = 0
    while len(pairs) < count:
        if missed == PATIENCE:
            raise UserError(
                f"{shape['dataset']} gave no new puzzle in {PATIENCE:,} after {len(seen):,} "
                f"different ones; ask for fewer, or for larger ones with its parameters."
            )
        entry = dataset[number]
        number, question = number + 1, suite.question(entry)
        key = likeness.keys(_tokens(form, question)[None])[0]
        missed = missed + 1 if key in seen else 0
        if not missed:
            seen.add(key)
            place = f"{shape['dataset']}, puzzle {number}"
            pairs.append(Pair(place, _lists(question), _lists(suite.answer(entry))))
    if not pairs:
        empty = np.zeros((0, form.cells), np.uint8)
        return empty, empty
    found = encode_known(pairs, form, "words")
    return found.questions, found.answers


def _lists(rows: Rows) -> list[list[str]]:
    return [list(row) for row in rows]


def _tokens(form: Form, rows: Rows) -> Tokens:
    return np.asarray([form.tokens[cell] for row in rows for cell in row], np.uint8)


def _parameters(settings: GymSettings) -> dict[str, Any]:
    """The user's parameters of the generator, as numbers."""
    found: dict[str, Any] = {}
    for part in filter(None, (each.strip() for each in settings.parameters.split(","))):
        name, _, text = part.partition("=")
        try:
            found[name.strip()] = float(text) if "." in text else int(text)
        except ValueError as error:
            raise UserError(
                f"config.data.gym.parameters has {part!r}; write name=number, with commas between."
            ) from error
    return found


def _dataset(shape: Shape, seed: int = 0) -> Any:
    given = tuple(sorted(shape["given"].items()))
    return _made(str(shape["dataset"]), int(shape["side"]), given, seed)


@functools.lru_cache(maxsize=8)
def _made(name: str, side: int, given: tuple[tuple[str, Any], ...], seed: int) -> Any:
    """A dataset of reasoning-gym.

    Raises:
      UserError: the package is not installed, is too old, or refuses a parameter.
    """
    suite = SUITES[name]
    parameters = {**suite.defaults(side), **dict(given), **suite.parameters(side)}
    try:
        import reasoning_gym  # here, since the import takes seconds

        return reasoning_gym.create_dataset(name, seed=seed, size=2**31, **parameters)
    except ImportError as error:
        raise UserError(
            f"the task 'gym' needs the package {PACKAGE}; install it with: pip install "
            f"'trm-jax[gym]' and then pip install --no-deps {PACKAGE}."
        ) from error
    except (TypeError, ValueError, AssertionError) as error:
        raise UserError(
            f"reasoning-gym {_version()} does not make {name} with {dict(parameters)}: {error}; "
            "change config.data.gym.parameters, or update the package."
        ) from error


def _version() -> str:
    return importlib.metadata.version(PACKAGE)

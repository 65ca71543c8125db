"""What a task is: all that differs between Sudokus, mazes, ARC, and tasks of plugins.

A task is one object in one registry, and no code outside `trm_jax.tasks` asks which one it is. A
task of your own is a subclass of `Task` in a plugin (`core/registry.py`), registered with
`TASKS.register(name, Subclass())`. It has to give `name`, `settings`, `build`, `shapes` and
`board`; each other method adds something that the program can then do with its puzzles. What a task
does not give is refused in a sentence that names the task. docs/how-to/own-task.md has examples.
"""

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.core.registry import Registry
from trm_jax.core.settings import Settings
from trm_jax.core.symmetries import GridSymmetry
from trm_jax.data.format import Dataset
from trm_jax.data.questions import Questions
from trm_jax.data.views import Augment, PlainView, View
from trm_jax.tasks.board import Board, Grid
from trm_jax.tasks.deduction import Deduction
from trm_jax.tasks.given import Given, joined_lines, only
from trm_jax.tasks.grouped import Grouped, Shape, Tokens
from trm_jax.tasks.judge import Judge
from trm_jax.tasks.request import Edition, Request


class Task(Grouped):
    """One kind of puzzle. Tasks are stateless: everything they know comes with the arguments.

    Questions and answers are tokens, uint8 [S], with S the number of cells. Token 0 pads; as a
    label it marks a cell that is not scored. Usually token 1 is the blank, and symbols begin at
    FIRST_DIGIT (2). `shape` arguments are manifests of datasets of the task, or at least their
    keys `task`, `vocab`, `cells` and `shape_keys`.

    Attributes:
      name: of the task in the registry, in manifests and in configs (config.data.task).
      settings: dataclass of its settings, the group config.data.NAME.
      editions: names under which `trm data` builds it; empty for `name` alone.
      source: where puzzles come from by default.
      counts: which numbers of a `Request` it takes, with the defaults of `trm data`.
      shape_keys: manifest keys besides `vocab` and `cells` that fix the form of its puzzles; a
        model and the puzzles that it is given have to agree in them.
      scores: names of the scores that its judge adds to an evaluation, with a short title each.
      main_score: the score by which checkpoints are chosen, where labels are known.
      votings: names of the ways in which the augmented copies of a puzzle vote; empty for none.
      grouped: puzzles are groups of examples with rows of the puzzle table of their own (see
        `data.rows`): demonstrations, on which these rows can be fitted, and tests.
      alike_symbols: whether renaming the tokens from FIRST_DIGIT on leaves a puzzle the same.
      file_suffixes: of the files that `dataset_of_file` reads.
      takes_directories: whether a source may be a directory that is no dataset.
      fewest_cells: smallest number of cells of its puzzles, as far as is known.
      published: config with which its published weights were trained, by mixer.
    """

    name: ClassVar[str]
    settings: ClassVar[type[Settings]]
    editions: ClassVar[tuple[Edition, ...]] = ()
    source: ClassVar[str] = "generate"
    counts: ClassVar[Mapping[str, int]] = {"train": 1000, "heldout": 1000, "test": 0}
    shape_keys: ClassVar[tuple[str, ...]] = ()
    scores: ClassVar[Mapping[str, str]] = {}
    main_score: ClassVar[str] = "exact_accuracy"
    votings: ClassVar[tuple[str, ...]] = ()
    grouped: ClassVar[bool] = False
    alike_symbols: ClassVar[bool] = False
    file_suffixes: ClassVar[tuple[str, ...]] = ()
    takes_directories: ClassVar[bool] = False
    fewest_cells: ClassVar[int] = 1
    published: ClassVar[Mapping[str, str]] = {}

    # ---- datasets

    def build(self, request: Request) -> Dataset:
        """Builds a dataset; equal requests and sources give equal datasets.

        No question may be in two of its splits. `data.choice.choose` divides puzzles among them,
        and `data.format.assemble` makes the dataset from the arrays.

        Raises:
          UserError: a row or setting is wrong, or there are fewer puzzles than asked for.
        """
        raise NotImplementedError

    def edition_settings(self, edition: Mapping[str, Any], source: str) -> dict[str, Any]:
        """The settings that an edition stands for, where puzzles come from `source`."""
        return dict(edition)

    def edition_remark(self, settings: Any, source: str) -> str:
        """What `trm data` says on stderr about an edition that it builds; empty for nothing."""
        return ""

    def build_test(self, path: str, shape: Shape) -> Dataset:
        """Reads all puzzles of a file as the split "test" (`trm eval --data FILE`).

        Args:
          path: of the file, or a word such as "hub".
          shape: of the model that will answer them.

        Raises:
          UserError: the file or one of its rows is wrong, or of another form.
        """
        self.lacks("a reader of test files", f"give a dataset directory in place of {path}")

    def shapes(self, settings: Any) -> dict[str, Any] | None:
        """`vocab`, `cells` and `shape_keys` of the puzzles that settings describe.

        Args:
          settings: of type `Task.settings`.

        Returns:
          None where they are known from a dataset alone.
        """
        raise NotImplementedError

    def check_dataset(self, dataset: Dataset) -> None:
        """Checks a dataset that was read from disk beyond its hashes; by default nothing.

        Raises:
          UserError: its arrays cannot be of this task; names the file.
        """

    def random_questions(self, shape: Shape, count: int) -> Tokens:
        """Questions uint8 [count, S] on which programs are compared; always the same ones."""
        self.lacks("a generator of questions", "leave the comparison out")

    def settings_for_vocab(self, vocab: int) -> list[dict[str, Any]]:
        """All settings whose puzzles have `vocab` tokens, for weights that come without any."""
        self.lacks("shapes that follow from a vocabulary", "its weights cannot be converted")

    def summary(self, shape: Shape) -> str:
        """What `trm data` says of a dataset besides its counts, in one line; empty for nothing.

        Args:
          shape: the whole manifest.
        """
        return ""

    # ---- what the model sees

    def augmentation(self, shape: Shape) -> tuple[Augment, int] | None:
        """The function that makes augmented copies, and how many random words a copy takes.

        The function gets questions and labels uint8 [B, S] and words uint64 [B, W], and returns
        both as copies; it has to be pure.

        Returns:
          None, as by default, where there are no augmented copies.
        """
        return None

    def view(self, dataset: Dataset, copies: int, seed: int, *, train: bool) -> View:
        """The examples of a dataset and their augmented copies, by default by `augmentation`.

        Args:
          dataset: whose examples are shown.
          copies: of each example besides the original, at most.
          seed: of all that is random in a copy.
          train: whether it is for training.

        Raises:
          UserError: copies are asked for, and this task has none.
        """
        found = self.augmentation(dataset.manifest)
        if found is None and copies:
            self.lacks("augmented copies", "set config.data.copies to 0")
        augment, words = found or (lambda inputs, labels, _: (inputs, labels), 0)
        return PlainView(dataset, copies, seed, augment, words)

    def symmetries(self, shape: Shape, which: str, count: int, seed: int) -> GridSymmetry:
        """Symmetries for the copies that a search answers (`infer.search`), the identity first.

        Args:
          shape: of the puzzles.
          which: one of `SYMMETRIES`.
          count: number of symmetries wanted; where there are fewer, all are returned.
          seed: of those that are drawn at random.

        Raises:
          UserError: the puzzles have none of that kind.
        """
        self.lacks("symmetries", "leave --copies out")

    def deduction(self, shape: Shape) -> Deduction:
        """Symmetries and rules as functions that JAX compiles, for lattice models.

        The candidates of a cell are the tokens from FIRST_DIGIT on, of which one is right; tokens
        below FIRST_DIGIT are empty cells of a question (see `models.lattice`).

        Raises:
          UserError: the puzzles are not of that kind.
        """
        self.lacks("candidates to eliminate", "choose another config.model.kind than 'lattice'")

    # ---- text

    def symbols(self, shape: Shape) -> tuple[str, ...] | None:
        """Characters that are read as each token; None where puzzles are no text.

        Of a task with a `separator`, the one word that is read as each token.
        """
        return tuple(token.text for token in self.board(shape).tokens)

    def separator(self, shape: Shape) -> str:
        """What stands between two cells in a line of text; empty where a cell is one character."""
        return ""

    def row_end(self, shape: Shape) -> str:
        """What stands between two rows in a line of text, where grids differ in size; else empty.

        Such a grid lies in the corner of a canvas; cells around it have tokens without symbols.
        """
        return ""

    def read(self, shape: Shape, text: str) -> Tokens:
        """Reads the one puzzle that a text holds, in one line or in one line for each row.

        Returns:
          uint8 [S] tokens.

        Raises:
          UserError: a character that is no cell (says which and where), or too few or too many.
        """
        return only(self.read_all(shape, text))

    def read_all(self, shape: Shape, text: str) -> list[Given]:
        """Reads all puzzles of a text, such as the content of a file.

        Raises:
          BadLineError: a line is no part of a puzzle; has the line's number.
        """
        board, symbols = self.board(shape), self.symbols(shape)
        if symbols is None:
            self.lacks("a form as text", "give a file")
        known = {symbol: token for token, these in enumerate(symbols) for symbol in these}
        return joined_lines(text, board.rows, board.columns, known)

    def write(self, shape: Shape, tokens: Tokens) -> str:
        """Writes tokens [S] as one line that `read` reads."""
        return self.board(shape).line(tokens)

    def read_array(self, shape: Shape, cells: NDArray[Any]) -> Tokens:
        """Reads a puzzle from an array [S] of characters; a task may take whole numbers too.

        Where grids differ in size the array is [rows, columns].

        Raises:
          UserError: it is neither.
        """
        if cells.dtype.kind != "U":
            raise UserError(f"the puzzle is an array of {cells.dtype}; give text, or characters.")
        return self.read(shape, "".join(cells.tolist()))

    def write_array(self, shape: Shape, tokens: Tokens) -> NDArray[Any]:
        """An answer's tokens [S] as an array [rows, columns] for users of the Python API."""
        board = self.board(shape)
        return np.asarray(list(self.write(shape, tokens))).reshape(board.rows, board.columns)

    # ---- rules

    def first_unsolvable(self, shape: Shape, questions: Tokens) -> tuple[int, str] | None:
        """The number of the first of questions [m, S] that has no solution, and the reason.

        The reason goes on a sentence: "has two 3 in row 1". None where no such question is known.
        """
        return None

    def check(self, shape: Shape, question: Tokens, answer: Tokens) -> list[str] | None:
        """Which rules an answer [S] to a question [S] breaks, each in words; empty if it is right.

        Returns:
          None where the rules are unknown, and only a label can tell.
        """
        return None

    def accepts(self, shape: Shape, questions: Tokens, answers: Tokens) -> NDArray[np.bool_] | None:
        """Whether answers [B, S] to questions [B, S] are right by the rules, bool [B].

        By default `check` is asked. None where the rules are unknown.
        """
        broken = [self.check(shape, q, a) for q, a in zip(questions, answers, strict=True)]
        if any(each is None for each in broken):
            return None
        return np.asarray([not each for each in broken], bool)

    def judge(self, questions: Questions, voting: str) -> Judge | None:
        """A new judge for one evaluation; None where exactness is the only score.

        Args:
          questions: of the evaluation.
          voting: one of `votings`; empty for the first of them.
        """
        return None

    def check_voting(self, voting: str) -> str:
        """The name of the way to vote; the first one where `voting` is empty.

        Raises:
          UserError: the task has no such way, or none at all.
        """
        if not self.votings and voting:
            self.lacks("copies that vote", "leave --voting out")
        if voting and voting not in self.votings:
            raise UserError(f"voting is {voting!r}; choose one of {', '.join(self.votings)}.")
        return voting or next(iter(self.votings), "")

    # ---- looks

    def title(self, shape: Shape) -> str:
        """What the puzzles are called, as in "9x9 Sudoku"."""
        return self.name

    def board(self, shape: Shape) -> Board:
        """How boards look in terminals, pictures and pages: rows, columns, and each token."""
        raise NotImplementedError

    def grid(self, shape: Shape, tokens: Tokens) -> Grid:
        """The tokens [S] of one question or answer as a board, uint8 [rows, columns].

        Where grids differ in size (`Board.canvas`), it is as large as the grid; 0x0 for none.
        """
        board = self.board(shape)
        return tokens.reshape(board.rows, board.columns)

    def check_pair(self, trained: Shape, scored: Shape) -> None:
        """Checks that a model trained on one dataset may be scored on another.

        Raises:
          UserError: the score would mean nothing, as the model has seen the answers.
        """


SYMMETRIES = ("digits", "dihedral", "all")
"""Kinds of symmetric copies: symbols relabelled, the grid turned and mirrored, or all there are."""

TASKS: Registry[Task] = Registry("config.data.task", "tasks", Task)


def task_of(shape: Shape) -> Task:
    """The task of a manifest.

    Raises:
      UserError: this program does not know it.
    """
    return TASKS.get(str(shape.get("task")))


def editions() -> dict[str, tuple[Task, Mapping[str, Any]]]:
    """What `trm data` builds, by name: the task, and the settings that stand behind the name."""
    found: dict[str, tuple[Task, Mapping[str, Any]]] = {}
    for task in TASKS.all().values():
        for edition in task.editions or (Edition(task.name),):
            found[edition.name] = (task, edition.settings)
    return found


def main_score(task: Task, result: Mapping[str, Any]) -> float | None:
    """The one score of an evaluation by which checkpoints are chosen."""
    return result.get(task.main_score, result.get("exact_accuracy"))

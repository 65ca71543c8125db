"""The interface of a task: everything that differs between Sudoku, mazes, ARC and plugins.

A task is one object in the registry `TASKS`, and no code outside `trm_jax.tasks` depends on a
particular one. A task of your own is a subclass of `Task` in a plugin (`core/registry.py`),
registered with `TASKS.register(name, Subclass())`. It has to define `name`, `settings`, `build`,
`shapes` and `board`; every other method adds a feature, and without it the feature is refused with
a sentence that names the task. docs/how-to/own-task.md has examples.
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
    """One kind of puzzle. Tasks are stateless.

    Questions and answers are tokens, uint8 [S], with S the number of cells. Token 0 is padding; as
    a label it marks a cell that is not scored. Usually token 1 is the blank, and symbols begin at
    FIRST_DIGIT (2). `shape` arguments are manifests of datasets of the task, or at least their
    keys `task`, `vocab`, `cells` and `shape_keys`.

    Attributes:
      name: name in the registry, in manifests and in configs (config.data.task).
      settings: dataclass of its settings, the group config.data.NAME.
      editions: names under which `trm data` builds it; empty for `name` alone.
      source: default source of the puzzles.
      counts: the counts of a `Request` that it supports, with the defaults of `trm data`.
      shape_keys: manifest keys besides `vocab` and `cells` that define the form of its puzzles;
        they must be equal for a model and its puzzles.
      scores: names of the scores that its judge adds to an evaluation, each with a short title.
      main_score: name of the score that checkpoints are chosen by, where labels are known.
      votings: names of the ways in which the augmented copies of a puzzle vote; empty for none.
      grouped: whether puzzles are groups of examples (demonstrations and tests) with their own
        rows of the puzzle table, which can be fitted on the demonstrations (see `data.rows`).
      alike_symbols: whether the tokens from FIRST_DIGIT on may be renamed in a puzzle.
      file_suffixes: suffixes of the files that `dataset_of_file` reads.
      takes_directories: whether a source may be a directory that is not a dataset.
      fewest_cells: minimum number of cells of a puzzle, as far as known.
      published: the config of its published weights, by mixer.
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

        No question may be in two splits. `data.choice.choose` distributes puzzles over the splits,
        and `data.format.assemble` makes the dataset from the arrays.

        Raises:
          UserError: a row or setting is wrong, or there are fewer puzzles than requested.
        """
        raise NotImplementedError

    def edition_settings(self, edition: Mapping[str, Any], source: str) -> dict[str, Any]:
        """The settings of an edition for puzzles from `source`."""
        return dict(edition)

    def edition_remark(self, settings: Any, source: str) -> str:
        """A remark that `trm data` prints to stderr when it builds an edition; empty for none."""
        return ""

    def build_test(self, path: str, shape: Shape) -> Dataset:
        """Reads all puzzles of a file as the split "test" (`trm eval --data FILE`).

        Args:
          path: path of the file, or a word such as "hub".
          shape: form of the puzzles that the model was trained on.

        Raises:
          UserError: the file or one of its rows is malformed, or has another form.
        """
        self.lacks("a reader of test files", f"give a dataset directory in place of {path}")

    def shapes(self, settings: Any) -> dict[str, Any] | None:
        """The keys `vocab`, `cells` and `shape_keys` of the puzzles that settings describe.

        Args:
          settings: of type `Task.settings`.

        Returns:
          The keys and their values; None if they are only known once a dataset is built.
        """
        raise NotImplementedError

    def check_dataset(self, dataset: Dataset) -> None:
        """Checks a dataset read from disk, in addition to its hashes; by default does nothing.

        Raises:
          UserError: the arrays do not fit this task; names the file.
        """

    def random_questions(self, shape: Shape, count: int) -> Tokens:
        """Questions uint8 [count, S] to compare two programs on; the same in every call."""
        self.lacks("a generator of questions", "leave the comparison out")

    def settings_for_vocab(self, vocab: int) -> list[dict[str, Any]]:
        """All settings whose puzzles have `vocab` tokens, for weights without a config."""
        self.lacks("shapes that follow from a vocabulary", "its weights cannot be converted")

    def summary(self, shape: Shape) -> str:
        """A line that `trm data` prints about a dataset besides its counts; empty for none.

        Args:
          shape: the whole manifest.
        """
        return ""

    # ---- what the model sees

    def augmentation(self, shape: Shape) -> tuple[Augment, int] | None:
        """The function that computes augmented copies, and its number of random words W.

        The function takes questions and labels uint8 [B, S] and random words uint64 [B, W], and
        returns the questions and labels of the copies. It has to be pure.

        Returns:
          None, the default, if there are no augmented copies.
        """
        return None

    def view(self, dataset: Dataset, copies: int, seed: int, *, train: bool) -> View:
        """The examples of a dataset and their augmented copies, by default from `augmentation`.

        Args:
          dataset: dataset of the examples.
          copies: maximum number of copies per example, besides the original.
          seed: seed of the copies.
          train: whether the examples are used for training.

        Raises:
          UserError: copies are requested, and this task has none.
        """
        found = self.augmentation(dataset.manifest)
        if found is None and copies:
            self.lacks("augmented copies", "set config.data.copies to 0")
        augment, words = found or (lambda inputs, labels, _: (inputs, labels), 0)
        return PlainView(dataset, copies, seed, augment, words)

    def symmetries(self, shape: Shape, which: str, count: int, seed: int) -> GridSymmetry:
        """Symmetries for the copies of a search (`infer.search`), the identity first.

        Args:
          shape: form of the puzzles.
          which: one of `SYMMETRIES`.
          count: number of symmetries; if there are fewer, all are returned.
          seed: seed of symmetries that are drawn at random.

        Raises:
          UserError: the puzzles have no symmetries of this kind.
        """
        self.lacks("symmetries", "leave --copies out")

    def deduction(self, shape: Shape) -> Deduction:
        """Symmetries and rules as functions that JAX can compile, for lattice models.

        The candidates of a cell are the tokens from FIRST_DIGIT on, one of which is right; tokens
        below FIRST_DIGIT are empty cells of a question (see `models.lattice`).

        Raises:
          UserError: lattice models do not support these puzzles.
        """
        self.lacks("candidates to eliminate", "choose another config.model.kind than 'lattice'")

    # ---- text

    def symbols(self, shape: Shape) -> tuple[str, ...] | None:
        """The characters that are read as each token; None if puzzles are not text.

        With a `separator`, the one word that is read as each token.
        """
        return tuple(token.text for token in self.board(shape).tokens)

    def question_tokens(self, shape: Shape) -> tuple[int, ...]:
        """Tokens of a question that are read from text; by default all that have symbols."""
        return tuple(token for token, read in enumerate(self.symbols(shape) or ()) if read)

    def empty_question(self, shape: Shape) -> Tokens:
        """The board, uint8 [S], that puzzles are written on.

        By default, all cells are blank: they have the first token of `question_tokens` that an
        answer may change.
        """
        board, tokens = self.board(shape), self.question_tokens(shape)
        blank = next((token for token in tokens if token in board.open_tokens), tokens[0])
        return np.full(board.rows * board.columns, blank, np.uint8)

    def separator(self, shape: Shape) -> str:
        """The text between two cells in a line; empty if each cell is one character."""
        return ""

    def row_end(self, shape: Shape) -> str:
        """The text between two rows in one line if grids differ in size; otherwise empty.

        Such a grid is in the corner of a canvas; the cells outside have tokens without symbols.
        """
        return ""

    def read(self, shape: Shape, text: str) -> Tokens:
        """Reads the single puzzle of a text, in one line or in one line per row.

        Returns:
          The tokens, uint8 [S].

        Raises:
          UserError: a character is not a symbol, or there are too few or too many; names the place.
        """
        return only(self.read_all(shape, text))

    def read_all(self, shape: Shape, text: str) -> list[Given]:
        """Reads all puzzles of a text, such as the contents of a file.

        Raises:
          BadLineError: a line is not part of a puzzle; has the line's number.
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
        """Reads a puzzle from an array [S] of characters; a task may accept integers too.

        If grids differ in size, the array is [rows, columns].

        Raises:
          UserError: the array has another dtype, or the puzzle is malformed.
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
        """The index of the first of questions [m, S] without a solution, and the reason.

        The reason is the end of a sentence: "has two 3 in row 1". None if no question is known to
        have no solution.
        """
        return None

    def check(self, shape: Shape, question: Tokens, answer: Tokens) -> list[str] | None:
        """The rules that an answer [S] to a question [S] breaks, as text.

        Returns:
          An empty list if the answer is right; None if the task has no rules, so that only a label
          shows whether it is.
        """
        return None

    def accepts(self, shape: Shape, questions: Tokens, answers: Tokens) -> NDArray[np.bool_] | None:
        """Whether answers [B, S] to questions [B, S] satisfy the rules, bool [B].

        By default computed with `check`. None if the task has no rules.
        """
        broken = [self.check(shape, q, a) for q, a in zip(questions, answers, strict=True)]
        if any(each is None for each in broken):
            return None
        return np.asarray([not each for each in broken], bool)

    def judge(self, questions: Questions, voting: str) -> Judge | None:
        """A new judge for one evaluation; None if exact accuracy is the only score.

        Args:
          questions: questions of the evaluation.
          voting: one of `votings`; empty for the first one.
        """
        return None

    def check_voting(self, voting: str) -> str:
        """The name of the way to vote; the first of `votings` if `voting` is empty.

        Raises:
          UserError: the task does not have this way to vote.
        """
        if not self.votings and voting:
            self.lacks("copies that vote", "leave --voting out")
        if voting and voting not in self.votings:
            raise UserError(f"voting is {voting!r}; choose one of {', '.join(self.votings)}.")
        return voting or next(iter(self.votings), "")

    # ---- looks

    def title(self, shape: Shape) -> str:
        """The name of the puzzles, as in "9x9 Sudoku"."""
        return self.name

    def board(self, shape: Shape) -> Board:
        """The look of a board in terminals, pictures and pages: its size, and each token."""
        raise NotImplementedError

    def grid(self, shape: Shape, tokens: Tokens) -> Grid:
        """The tokens [S] of a question or an answer as a grid, uint8 [rows, columns].

        If grids differ in size (`Board.canvas`), it is cropped to the grid; 0x0 if there is none.
        """
        board = self.board(shape)
        return tokens.reshape(board.rows, board.columns)

    def check_pair(self, trained: Shape, scored: Shape) -> None:
        """Checks that a model trained on one dataset may be scored on another.

        Raises:
          UserError: the model was trained on the answers, so the score would mean nothing.
        """


SYMMETRIES = ("digits", "dihedral", "all")
"""Kinds of symmetric copies: renamed symbols; rotations and reflections; all symmetries."""

TASKS: Registry[Task] = Registry("config.data.task", "tasks", Task)


def task_of(shape: Shape) -> Task:
    """The task of a manifest.

    Raises:
      UserError: the task is unknown.
    """
    return TASKS.get(str(shape.get("task")))


def editions() -> dict[str, tuple[Task, Mapping[str, Any]]]:
    """The names that `trm data` builds, each with its task and the settings of the edition."""
    found: dict[str, tuple[Task, Mapping[str, Any]]] = {}
    for task in TASKS.all().values():
        for edition in task.editions or (Edition(task.name),):
            found[edition.name] = (task, edition.settings)
    return found


def main_score(task: Task, result: Mapping[str, Any]) -> float | None:
    """The score of an evaluation that checkpoints are chosen by."""
    return result.get(task.main_score, result.get("exact_accuracy"))

"""What a task is: all that differs between Sudokus, mazes, ARC, and what others bring.

A task is one object in one registry, and nothing outside `trm_jax.tasks` asks which one it is. What
a task cannot do says so by its name. Another task is a subclass in a plugin (`core/registry.py`),
registered by `TASKS.register`; it has to give `settings`, `build`, `shapes` and `board`, and all
else as far as it can.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NoReturn, Protocol

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.core.registry import Registry
from trm_jax.core.settings import Settings
from trm_jax.core.symmetries import GridSymmetry
from trm_jax.data.format import Dataset
from trm_jax.data.questions import Questions
from trm_jax.data.rows import Rows
from trm_jax.data.views import Augment, Grids, Numbers, PlainView, View
from trm_jax.tasks.board import Board, Grid
from trm_jax.tasks.deduction import Deduction
from trm_jax.tasks.given import Given, joined_lines, only
from trm_jax.tasks.request import Edition, Request

Shape = Mapping[str, Any]
"""What fixes the form of a task's puzzles: a data set's manifest, or the part of it that does."""

Tokens = NDArray[np.uint8]


class Judge(Protocol):
    """Sees the answers batch by batch, and says at the end what came of them."""

    def see(
        self,
        places: Numbers,
        questions: Grids,
        answers: NDArray[np.uint8],
        halt_logits: NDArray[np.floating],
    ) -> None:
        """Takes note of answers uint8 [N, b, S] to questions [b, S], with halt logits [N, b]."""

    def result(self) -> dict[str, Any]:
        """What goes into the evaluation's record; under `by_depth` a list for each depth."""


class Task:
    """One kind of puzzle; stateless.

    Tokens are uint8: 0 pads, and is no cell's answer in a score. `Shape` arguments are manifests of
    data sets of this task.

    Attributes:
      name: in the registry, in manifests and in configs.
      settings: dataclass of its settings, the group config.data.NAME.
      editions: names for `trm data`; empty for `name` alone.
      source: where puzzles come from by default.
      counts: the numbers of a `Request` that it takes, with the defaults of `trm data`.
      shape_keys: manifest keys besides vocab and cells that say the form of its puzzles.
      scores: what its judge adds to an evaluation, with a short title each.
      main_score: the score by which checkpoints are chosen, where answers are known.
      votings: names of the ways in which the copies of a puzzle vote; empty if they do not.
      grouped: puzzles are groups of examples with rows of the puzzle table of their own (see
        `data.rows`): demonstrations, on which these rows can be fitted, and tests.
      alike_symbols: renaming the tokens from FIRST_DIGIT on changes nothing about a puzzle.
      file_suffixes: of files that `dataset_of_file` reads without knowing a data set.
      takes_directories: a source may be a directory that is no data set.
      fewest_cells: of any of its puzzles, as far as is known.
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

    # ---- data sets

    def build(self, request: Request) -> Dataset:
        """Builds a data set, the same for equal requests and sources.

        Raises:
          UserError: a bad row or setting, or fewer puzzles than asked for.
        """
        raise NotImplementedError

    def edition_settings(self, edition: Mapping[str, Any], source: str) -> dict[str, Any]:
        """The settings of an edition for puzzles of a source."""
        return dict(edition)

    def edition_remark(self, settings: Any, source: str) -> str:
        """What is said where an edition is built without something that a source may have."""
        return ""

    def build_test(self, path: str, shape: Shape) -> Dataset:
        """All puzzles of a file as the split "test"; those of a model that knows `shape`.

        Raises:
          UserError: the file or one of its rows is wrong.
        """
        self.lacks("a reader of test files", f"give a data set directory in place of {path}")

    def shapes(self, settings: Any) -> dict[str, Any] | None:
        """`vocab`, `cells` and `shape_keys` of a data set by these settings; None if not known."""
        raise NotImplementedError

    def check_dataset(self, dataset: Dataset) -> None:
        """Refuses a data set whose arrays this task cannot have written.

        Raises:
          UserError: names the file.
        """

    def random_questions(self, shape: Shape, count: int) -> Tokens:
        """Real questions uint8 [count, S] of a form, always the same, to compare programs on."""
        self.lacks("a generator of questions", "leave the comparison out")

    def settings_for_vocab(self, vocab: int) -> list[dict[str, Any]]:
        """Settings whose puzzles have so many token ids, for weights that come without any."""
        self.lacks("shapes that follow from a vocabulary", "its weights cannot be converted")

    def rows_of_names(self, names: Sequence[str], where: str) -> tuple[Rows, NDArray[np.int64]]:
        """Rows by their names as published, in the file `where`; the place of each in `names`."""
        self.lacks("rows of the puzzle table by name", "leave --data out")

    def summary(self, shape: Shape) -> str:
        """What `trm data` says of a data set besides its counts, in one line; empty for nothing.

        Args:
          shape: the whole manifest.
        """
        return ""

    # ---- what the model sees

    def augmentation(self, shape: Shape) -> tuple[Augment, int] | None:
        """How an example is augmented, and the random words that takes; None: there are no copies.

        By default there are none.
        """
        return None

    def view(self, dataset: Dataset, copies: int, seed: int, *, train: bool) -> View:
        """The examples of a data set and their augmented copies.

        Args:
          dataset: whose examples are shown.
          copies: besides the original, at most.
          seed: of all that is random in a copy.
          train: whether it is for training.

        Raises:
          UserError: there are no copies of this task's puzzles, and some are asked for.
        """
        found = self.augmentation(dataset.manifest)
        if found is None and copies:
            self.lacks("augmented copies", "set config.data.copies to 0")
        augment, words = found or (lambda inputs, labels, _: (inputs, labels), 0)
        return PlainView(dataset, copies, seed, augment, words)

    def symmetries(self, shape: Shape, which: str, count: int, seed: int) -> GridSymmetry:
        """Symmetries for the copies of a search (`infer.search`), number 0 the identity.

        Args:
          shape: of the puzzles.
          which: a key of `SYMMETRIES`.
          count: how many are wanted; fewer are given where there are fewer.
          seed: of those that are drawn.

        Raises:
          UserError: the puzzles have none of that kind.
        """
        self.lacks("symmetries", "leave --copies out")

    def deduction(self, shape: Shape) -> Deduction:
        """Symmetries and rules as compiled functions, for lattice models (`models.lattice`).

        Their candidates are the tokens from FIRST_DIGIT on, one of which is right in each cell; the
        tokens below stand for empty cells in a question.

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
        """Reads the one puzzle of a text, in one line or in one line for each row.

        Returns:
          uint8 [S] tokens.

        Raises:
          UserError: a character that is no cell (says which and where), or too few or too many.
        """
        return only(self.read_all(shape, text))

    def read_all(self, shape: Shape, text: str) -> list[Given]:
        """Reads all puzzles of a text, such as a file holds.

        Raises:
          BadLineError: a line is no part of a puzzle.
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
        """Reads a puzzle from an array [S] of characters, or of whole numbers where it takes them.

        Of a canvas it is [rows, columns], as large as the grid.

        Raises:
          UserError: it is neither.
        """
        if cells.dtype.kind != "U":
            raise UserError(f"the puzzle is an array of {cells.dtype}; give text, or characters.")
        return self.read(shape, "".join(cells.tolist()))

    def write_array(self, shape: Shape, tokens: Tokens) -> NDArray[Any]:
        """An answer's tokens [S] as people take them in Python, [rows, columns]."""
        board = self.board(shape)
        return np.asarray(list(self.write(shape, tokens))).reshape(board.rows, board.columns)

    # ---- rules

    def first_unsolvable(self, shape: Shape, questions: Tokens) -> tuple[int, str] | None:
        """The first of questions [m, S] that cannot be solved, and why; None: none is known."""
        return None

    def check(self, shape: Shape, question: Tokens, answer: Tokens) -> list[str] | None:
        """Which rules an answer [S] to a question [S] breaks, in words; none if it is right.

        None where the rules are not known: then only a label can tell.
        """
        return None

    def accepts(self, shape: Shape, questions: Tokens, answers: Tokens) -> NDArray[np.bool_] | None:
        """Whether answers [B, S] keep the rules, bool [B]; None where these are not known."""
        broken = [self.check(shape, q, a) for q, a in zip(questions, answers, strict=True)]
        if any(each is None for each in broken):
            return None
        return np.asarray([not each for each in broken], bool)

    def judge(self, questions: Questions, voting: str) -> Judge | None:
        """A fresh judge for one evaluation; None where exactness is all there is to say.

        Args:
          questions: which will be asked.
          voting: one of `votings`; empty for the first of them.
        """
        return None

    def check_voting(self, voting: str) -> str:
        """The way to vote, by default the first.

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
        """The kind of puzzle in words: "9x9 Sudoku"."""
        return self.name

    def board(self, shape: Shape) -> Board:
        """How its boards look."""
        raise NotImplementedError

    def grid(self, shape: Shape, tokens: Tokens) -> Grid:
        """The tokens [S] of one question or answer as a board [rows, columns].

        Where the board is a canvas, it has the size of the grid that is shown, 0x0 for none.
        """
        board = self.board(shape)
        return tokens.reshape(board.rows, board.columns)

    # ---- groups of examples

    def dataset_of_file(self, path: Path, copies: int, shape: Shape | None = None) -> list[Dataset]:
        """The puzzles of a file, each a data set of its own, to be looked at."""
        self.lacks("files that are read without a model", "give a data set directory")

    def groups_of_files(self, paths: list[str], shape: Shape, copies: int) -> Dataset:
        """Puzzles of files: their demonstrations as the split "train", their tests as "test".

        Args:
          paths: of the files.
          shape: of the model that will answer them.
          copies: of each puzzle, besides the original.

        Raises:
          UserError: something in a file is wrong, or does not fit the model.
        """
        self.lacks("puzzles with demonstrations", "give puzzles as text")

    def groups_of(self, content: Any, shape: Shape, copies: int) -> Dataset:
        """The same from Python objects."""
        self.lacks("puzzles with demonstrations", "give puzzles as text")

    def attempt_grid(self, attempt: Any) -> Grid:
        """An attempt of a submission as a board [rows, columns]."""
        self.lacks("puzzles with demonstrations", "give puzzles as text")

    def row_name(self, dataset: Dataset, row: int) -> str:
        """Name of a row of the puzzle table."""
        return dataset.rows.name(row)

    def check_pair(self, trained: Shape, scored: Shape) -> None:
        """Refuses to score one data set with a model that was trained on another.

        Raises:
          UserError: the score would mean nothing.
        """

    def lacks(self, what: str, remedy: str) -> NoReturn:
        """Refuses something that this task cannot do, by its name."""
        raise UserError(f"the task {self.name!r} has no {what}; {remedy}.")


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

"""The content of `trm show`: puzzles as groups of boards, with a model's predictions."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.data.format import Dataset
from trm_jax.data.questions import Questions
from trm_jax.show.panels import Exhibit, Panel
from trm_jax.show.verdicts import judge
from trm_jax.tasks.board import Board
from trm_jax.tasks.task import Tokens, task_of
from trm_jax.tasks.views import view

Numbers = NDArray[np.int64]


class Puzzle(NamedTuple):
    """A puzzle to show.

    Attributes:
      name: name of the puzzle.
      demonstrations: int64 [d], examples of the dataset that demonstrate it.
      asked: int64 [t], examples of the dataset that ask it.
      word: title of each asked example: "test", or "pair" if it is trained on.
    """

    name: str
    demonstrations: Numbers
    asked: Numbers
    word: str = "test"


class Predictions(NamedTuple):
    """A model's answers to m questions.

    Attributes:
      answers: uint8 [m, S], token ids.
      confidence: float [m], halting probabilities.
    """

    answers: NDArray[np.uint8]
    confidence: NDArray[np.floating]

    def part(self, places: slice) -> "Predictions":
        """The predictions for a slice of the questions."""
        return Predictions(self.answers[places], self.confidence[places])


def board_of(dataset: Dataset) -> Board:
    """The appearance of a dataset's boards.

    Raises:
      UserError: the dataset's task is unknown.
    """
    return task_of(dataset.manifest).board(dataset.manifest)


def choose(
    dataset: Dataset, split: str, first: int, count: int, names: Sequence[str] = ()
) -> list[Puzzle]:
    """Picks puzzles of a split.

    Args:
      dataset: the dataset.
      split: name of the split.
      first: index of the first puzzle within the split.
      count: maximum number of puzzles.
      names: names of the puzzles to pick, instead of `first` and `count`.

    Raises:
      UserError: the split is missing or empty, or does not have these puzzles.
    """
    examples = dataset.examples(split)
    where = f"split '{split}'"
    if dataset.rows.grouped:
        puzzle_of = dataset.puzzles()
        numbers = np.unique(puzzle_of[examples])
        there = [dataset.rows.names[number] for number in numbers]
        picked = pick(there, where, first, count, names)
        return [_named(dataset, split, number, puzzle_of) for number in numbers[picked].tolist()]
    if names:
        raise UserError(
            f"there is no puzzle {names[0]!r}: the puzzles of this dataset have no names; choose "
            "with --first and --count."
        )
    _check_first(first, len(examples), where)
    chosen = examples[first : first + count, None]
    nothing = np.zeros(0, np.int64)
    return [Puzzle(f"puzzle {n} [{split}]", nothing, one) for n, one in enumerate(chosen, first)]


def find(dataset: Dataset, names: Sequence[str], splits: Sequence[str]) -> list[Puzzle]:
    """Finds puzzles by name.

    Args:
      dataset: the dataset.
      names: names of the puzzles.
      splits: splits to search, in order.

    Raises:
      UserError: a puzzle is in none of the splits, or puzzles have no names.
    """
    there = [split for split in splits if len(dataset.splits.get(split, ()))]
    puzzle_of, found = dataset.puzzles(), []
    for name in names:
        holding = (
            split
            for split in there
            if dataset.rows.grouped
            and name in {dataset.rows.names[n] for n in puzzle_of[dataset.examples(split)]}
        )
        split = next(holding, None)
        if split is None and dataset.rows.grouped:
            pick(dataset.rows.names, "the dataset", 0, 0, [name])  # raises if it does not exist
        found += choose(dataset, split or there[0], 0, 0, [name])
    return found


def pick(
    there: Sequence[str], where: str, first: int, count: int, names: Sequence[str]
) -> list[int]:
    """Indices of the chosen puzzles in a list of names.

    Args:
      there: names of all puzzles.
      where: description of the list, for errors.
      first: as in `choose`.
      count: as in `choose`.
      names: as in `choose`.

    Raises:
      UserError: a puzzle does not exist.
    """
    if not names:
        _check_first(first, len(there), where)
        return list(range(first, min(first + count, len(there))))
    places = {name: place for place, name in enumerate(there)}
    for name in names:
        if name not in places:
            raise UserError(
                f"{where} has no puzzle named {name!r}; the first of its {len(there)} named "
                f"puzzles is {there[0]!r}."
            )
    return [places[name] for name in names]


def exhibits(
    dataset: Dataset,
    puzzles: Sequence[Puzzle],
    copies: int = 0,
    predict: Callable[[Questions], Predictions] | None = None,
) -> list[Exhibit]:
    """Exhibits of puzzles with their answers and, if `predict` is given, predictions.

    Args:
      dataset: the dataset of the puzzles.
      puzzles: from `choose`.
      copies: maximum number of augmented copies of the first puzzle to show.
      predict: predicts the answers to questions; None for no predictions.

    Raises:
      UserError: copies are requested and the first puzzle has none.
    """
    shown = view(dataset, copies, 0, train=False)
    have = int(shown.count(puzzles[0].asked[:1])[0])
    if copies and have == 1:
        raise UserError(
            f"{puzzles[0].name} has no augmented copies in this dataset; leave --copies out, or "
            "build the dataset with copies."
        )
    showings = [(puzzle, 0) for puzzle in puzzles]
    showings[1:1] = [(puzzles[0], copy) for copy in range(1, min(copies + 1, have))]
    asked = Questions(
        dataset,
        shown,
        np.concatenate([puzzle.asked for puzzle, _ in showings]),
        np.concatenate([np.full(len(puzzle.asked), copy) for puzzle, copy in showings]),
    )
    predictions = predict(asked) if predict else None
    result, first = [], 0
    for puzzle, copy in showings:
        places = slice(first, first + len(puzzle.asked))
        first = places.stop
        mine = predictions.part(places) if predictions else None
        result.append(_exhibit(asked, puzzle, copy, mine))
    return result


def _check_first(first: int, have: int, where: str) -> None:
    if first >= have:
        raise UserError(
            f"--first is {first}, but {where} has {have} puzzles, counted from 0; give a smaller "
            "number."
        )


def _named(dataset: Dataset, split: str, number: int, puzzle_of: Numbers) -> Puzzle:
    """The puzzle of this number: its pairs in the split are asked, earlier ones demonstrate."""
    pairs = np.flatnonzero(puzzle_of == number)
    asked = pairs[np.isin(pairs, dataset.examples(split))]
    name = f"{dataset.rows.names[number]} [{split}]"
    return Puzzle(name, pairs[pairs < asked[0]], asked, "pair" if split == "train" else "test")


def _exhibit(asked: Questions, puzzle: Puzzle, copy: int, mine: Predictions | None) -> Exhibit:
    """The exhibit of one copy of a puzzle, with the predictions `mine` for its questions."""
    dataset = asked.dataset
    pairs = np.concatenate([puzzle.demonstrations, puzzle.asked])
    inputs, labels, ids = asked.view.show(pairs, np.full(len(pairs), copy))
    title = f"{puzzle.name}, copy {copy}" if copy else puzzle.name
    if copy and dataset.rows.grouped:
        title = f"{title} ({task_of(dataset.manifest).row_name(dataset, int(ids[0]))})"
    groups = []
    for place, (question, label) in enumerate(zip(inputs, labels, strict=True)):
        number = place - len(puzzle.demonstrations)
        titles = ("question", "answer")
        if dataset.rows.grouped:
            titles = (f"demo {place + 1}", "output")
            if number >= 0:
                titles = (f"{puzzle.word} {number + 1}", "answer")
        group = _pair(dataset, titles, question, label)
        if mine and number >= 0:
            group.append(
                _predicted(dataset, question, label, mine.answers[number], mine.confidence[number])
            )
        groups.append(group)
    return Exhibit(title, groups, len(puzzle.demonstrations))


def _pair(
    dataset: Dataset, titles: tuple[str, str], question: Tokens, label: Tokens
) -> list[Panel]:
    """The panels of a question [S] and its label [S]; a label of only 0 is unknown."""
    shape = dataset.manifest
    task = task_of(shape)
    board = task.grid(shape, question)
    asked = None if task.board(shape).canvas else board
    answer = task.grid(shape, label) if label.any() else None
    return [Panel(titles[0], board, asked), Panel(titles[1], answer, asked)]


def _predicted(
    dataset: Dataset, question: Tokens, label: Tokens, answer: Tokens, confidence: float
) -> Panel:
    """The panel of a prediction [S], with whether it is correct."""
    shape = dataset.manifest
    task = task_of(shape)
    right, differs, broken = judge(task, shape, question, answer, label)
    remark = differs or ("breaks a rule" if broken else "")
    if right and differs:
        remark = "another correct answer"
    return Panel(
        "prediction",
        task.grid(shape, answer),
        None if task.board(shape).canvas else task.grid(shape, question),
        task.grid(shape, label) if label.any() and not right else None,
        right,
        remark,
        float(confidence),
    )

"""What `trm show` shows: puzzles as rows of boards, and the model's answers among them."""

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
    """What is shown of one puzzle: its name, and examples int64 [.] of its data set.

    Of a named puzzle those asked are "test" 1, 2 and so on, or each is a "pair" where all are
    trained on.
    """

    name: str
    demonstrations: Numbers
    asked: Numbers
    word: str = "test"


class Predictions(NamedTuple):
    """The model's answers uint8 [m, S] to questions, and its halting probabilities float [m]."""

    answers: NDArray[np.uint8]
    confidence: NDArray[np.floating]

    def part(self, places: slice) -> "Predictions":
        """Those to the questions at these places."""
        return Predictions(self.answers[places], self.confidence[places])


def board_of(dataset: Dataset) -> Board:
    """How the boards of a data set look.

    Raises:
      UserError: this program does not know its task.
    """
    return task_of(dataset.manifest).board(dataset.manifest)


def choose(
    dataset: Dataset, split: str, first: int, count: int, names: Sequence[str] = ()
) -> list[Puzzle]:
    """Picks puzzles of a split.

    Args:
      dataset: any.
      split: its name.
      first: how many puzzles of the split are passed over.
      count: how many are picked; fewer where there are not so many.
      names: pick these named puzzles instead.

    Raises:
      UserError: the split is missing or empty, or has no such puzzles.
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
            f"{names[0]!r} is no puzzle's name, as the puzzles of this data set have none; "
            "choose by --first and --count."
        )
    _check_first(first, len(examples), where)
    chosen = examples[first : first + count, None]
    nothing = np.zeros(0, np.int64)
    return [Puzzle(f"puzzle {n} [{split}]", nothing, one) for n, one in enumerate(chosen, first)]


def find(dataset: Dataset, names: Sequence[str], splits: Sequence[str]) -> list[Puzzle]:
    """Named puzzles, each of the first of `splits` that has it.

    Raises:
      UserError: no split has one of them, or puzzles have no names.
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
            pick(dataset.rows.names, "the data set", 0, 0, [name])  # refuses it
        found += choose(dataset, split or there[0], 0, 0, [name])
    return found


def pick(
    there: Sequence[str], where: str, first: int, count: int, names: Sequence[str]
) -> list[int]:
    """Places of the named puzzles that are asked for, among the names of all.

    Args:
      there: names of all there are.
      where: they are, for the error.
      first: as in `choose`.
      count: as in `choose`.
      names: as in `choose`.

    Raises:
      UserError: there are no such puzzles.
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
    """Puzzles with their answers, and with predictions.

    Args:
      dataset: that the puzzles are from.
      puzzles: from `choose`.
      copies: augmented copies that are shown of the first one, or as many as it has.
      predict: answers questions; None shows no predictions.

    Raises:
      UserError: copies are asked for and the first puzzle has none.
    """
    shown = view(dataset, copies, 0, train=False)
    have = int(shown.count(puzzles[0].asked[:1])[0])
    if copies and have == 1:
        raise UserError(
            f"{puzzles[0].name} has no augmented copies in this data set; leave out --copies, or "
            "build the data set with some."
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
            f"--first is {first} and {where} has {have} puzzles, numbered from 0; "
            "give a smaller one."
        )


def _named(dataset: Dataset, split: str, number: int, puzzle_of: Numbers) -> Puzzle:
    """A puzzle's pairs in the split; those before them, if in another one, demonstrate it."""
    pairs = np.flatnonzero(puzzle_of == number)
    asked = pairs[np.isin(pairs, dataset.examples(split))]
    name = f"{dataset.rows.names[number]} [{split}]"
    return Puzzle(name, pairs[pairs < asked[0]], asked, "pair" if split == "train" else "test")


def _exhibit(asked: Questions, puzzle: Puzzle, copy: int, mine: Predictions | None) -> Exhibit:
    """One copy of a puzzle; `mine` are the predictions of its questions."""
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
    """The panels of a question [S] and of its answer [S], which is all 0 where it is not known."""
    shape = dataset.manifest
    task = task_of(shape)
    board = task.grid(shape, question)
    asked = None if task.board(shape).canvas else board
    answer = task.grid(shape, label) if label.any() else None
    return [Panel(titles[0], board, asked), Panel(titles[1], answer, asked)]


def _predicted(
    dataset: Dataset, question: Tokens, label: Tokens, answer: Tokens, confidence: float
) -> Panel:
    """The panel of a prediction [S], with its verdict."""
    shape = dataset.manifest
    task = task_of(shape)
    right, differs, broken = judge(task, shape, question, answer, label)
    remark = differs or ("breaks a rule" if broken else "")
    if right and differs:
        remark = "another right answer"
    return Panel(
        "prediction",
        task.grid(shape, answer),
        None if task.board(shape).canvas else task.grid(shape, question),
        task.grid(shape, label) if label.any() and not right else None,
        right,
        remark,
        float(confidence),
    )

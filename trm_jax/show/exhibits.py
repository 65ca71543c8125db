"""What `trm show` shows: puzzles as rows of boards, and the model's answers among them."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from trm_jax.core.errors import UserError
from trm_jax.data.format import Dataset
from trm_jax.data.questions import Questions
from trm_jax.data.views import ARC, kind_of, task_numbers, view
from trm_jax.show.panels import Board, Exhibit, Kind, Panel
from trm_jax.tasks.arc.canvas import crop, sizes

Numbers = NDArray[np.int64]


class Puzzle(NamedTuple):
    """What is shown of one puzzle: its name, and examples int64 [.] of its data set.

    ARC: those asked are "test" 1, 2 and so on, or each is a "pair" where all are trained on.
    """

    name: str
    demonstrations: Numbers
    asked: Numbers
    word: str = "test"


class Predictions(NamedTuple):
    """The model's answers uint8 [m, S] to questions, and its halting probabilities float [m]."""

    answers: Board
    sure: NDArray[np.floating]

    def part(self, places: slice) -> "Predictions":
        """Those to the questions at these places."""
        return Predictions(self.answers[places], self.sure[places])


def board_kind(dataset: Dataset) -> Kind:
    """The kind of a data set's puzzles; UserError if this program does not know it."""
    return None if dataset.manifest["task"] == ARC else kind_of(dataset.manifest)


def choose(
    dataset: Dataset, split: str, first: int, count: int, names: Sequence[str] = ()
) -> list[Puzzle]:
    """Picks puzzles of a split.

    Args:
        dataset: any.
        split: its name.
        first: how many puzzles (ARC: tasks) of the split are passed over.
        count: how many are picked; fewer where there are not so many.
        names: ARC: pick these tasks instead.

    Raises:
        UserError: the split is missing or empty, or has no such puzzles.
    """
    examples = dataset.examples(split)
    where = f"split '{split}'"
    if dataset.rows.tasks:
        task_of = task_numbers(dataset)
        tasks = np.unique(task_of[examples])
        picked = pick([dataset.rows.tasks[task] for task in tasks], where, first, count, names)
        return [_arc_puzzle(dataset, split, task, task_of) for task in tasks[picked].tolist()]
    if names:
        raise UserError(
            f"{names[0]!r} is no puzzle's name, as only ARC's tasks have names; "
            "choose by --first and --count."
        )
    _check_first(first, len(examples), where)
    chosen = examples[first : first + count, None]
    nothing = np.zeros(0, np.int64)
    return [Puzzle(f"puzzle {n} [{split}]", nothing, one) for n, one in enumerate(chosen, first)]


def pick(
    tasks: Sequence[str], where: str, first: int, count: int, names: Sequence[str]
) -> list[int]:
    """Places of the tasks that are asked for, among the names of all.

    Args:
        tasks: names of all there are.
        where: they are, for the error.
        first: as in `choose`.
        count: as in `choose`.
        names: as in `choose`.

    Raises:
        UserError: there are no such tasks.
    """
    if not names:
        _check_first(first, len(tasks), where)
        return list(range(first, min(first + count, len(tasks))))
    places = {task: place for place, task in enumerate(tasks)}
    for name in names:
        if name not in places:
            raise UserError(
                f"{where} has no task {name!r}; of its {len(tasks)} tasks the first is "
                f"{tasks[0]!r}."
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


def _arc_puzzle(dataset: Dataset, split: str, task: int, task_of: Numbers) -> Puzzle:
    """A task's pairs in the split; those before them, if in another one, demonstrate it."""
    pairs = np.flatnonzero(task_of == task)
    asked = pairs[np.isin(pairs, dataset.examples(split))]
    name = f"{dataset.rows.tasks[task]} [{split}]"
    return Puzzle(name, pairs[pairs < asked[0]], asked, "pair" if split == "train" else "test")


def _exhibit(asked: Questions, puzzle: Puzzle, copy: int, mine: Predictions | None) -> Exhibit:
    """One copy of a puzzle; `mine` are the predictions of its questions."""
    dataset, kind = asked.dataset, board_kind(asked.dataset)
    pairs = np.concatenate([puzzle.demonstrations, puzzle.asked])
    inputs, labels, ids = asked.view.show(pairs, np.full(len(pairs), copy))
    title = puzzle.name
    if copy:
        row = f" ({dataset.rows.name(int(ids[0]))})" if kind is None else ""
        title = f"{title}, copy {copy}{row}"
    groups = []
    for place, (question, label) in enumerate(zip(inputs, labels, strict=True)):
        number = place - len(puzzle.demonstrations)
        answer = label if label.any() else None
        if kind is None:
            name = f"demo {place + 1}", "output"
            if number >= 0:
                name = f"{puzzle.word} {number + 1}", "answer"
            known = None if answer is None else _grid(answer)
            group = [Panel(name[0], _grid(question)), Panel(name[1], known)]
        else:
            group = [Panel("question", question, question), Panel("answer", answer, question)]
        if mine and number >= 0:
            board = mine.answers[number] if kind is not None else _grid(mine.answers[number])
            group.append(_predicted(kind, group, board, float(mine.sure[number])))
        groups.append(group)
    return Exhibit(title, groups, len(puzzle.demonstrations))


def _predicted(kind: Kind, group: Sequence[Panel], board: Board, sure: float) -> Panel:
    """The panel of a prediction, with its verdict; `group` are those of question and answer."""
    answer, question = group[1].board, group[1].question
    right = None if answer is None else np.array_equal(board, answer)
    remark = ""
    if kind is not None and question is not None and not right:
        # another path may be as short, and a Sudoku may come without its answer
        broken = kind.check_answer(question, board)
        right = not broken
        remark = "breaks a rule" if broken else "another right answer" if answer is not None else ""
    if right is False and answer is not None:
        wrong = int((board != answer).sum()) if board.shape == answer.shape else 0
        remark = f"{wrong} cell{'s' if wrong > 1 else ''} wrong"
        if board.shape != answer.shape:
            remark = f"{_size(board)}, not {_size(answer)}" if board.size else "no grid"
    return Panel("prediction", board, question, None if right else answer, right, remark, sure)


def _grid(canvas: Board) -> Board:
    """The grid in the corner of a canvas [S]; of a prediction it may have 0x0 cells."""
    rows, columns = sizes(canvas[None])
    return crop(canvas, int(rows[0]), int(columns[0]))


def _size(board: Board) -> str:
    return "x".join(map(str, board.shape))

"""The datasets of reasoning-gym whose puzzles are grids, and conversions of their texts.

An entry of reasoning-gym is `{"question": text, "answer": text, "metadata": facts}`, and its
`score_answer(text, entry)` verifies an answer. So that answers to any question can be verified,
not only to generated ones, `Suite.entry` computes the entry of a question with a solver.
"""

import abc
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np

from trm_jax.tasks.grid.vocabulary import Form

Rows = Sequence[Sequence[str]]
Entry = Mapping[str, Any]


class Suite(abc.ABC):
    """One dataset as grids.

    Attributes:
      sides: minimum, default and maximum size.
      alike: symbols that may be exchanged: "digits" for 1 to n, empty for none.
      turns: whether rotated and mirrored puzzles are puzzles too.
    """

    sides: ClassVar[tuple[int, int, int]]
    alike: ClassVar[str] = ""
    turns: ClassVar[bool] = False

    @abc.abstractmethod
    def parameters(self, side: int) -> dict[str, Any]:
        """Parameters of the dataset that fix the size and the kind of its grids."""

    def defaults(self, side: int) -> dict[str, Any]:
        """Defaults of other parameters for this size."""
        return {}

    @abc.abstractmethod
    def form(self, side: int) -> Form:
        """The form of its grids."""

    def question(self, entry: Entry) -> Rows:
        """The question of an entry as a grid."""
        return blanked(entry["metadata"]["puzzle"])

    def answer(self, entry: Entry) -> Rows:
        """The answer of an entry as a grid."""
        return [line.split() for line in entry["answer"].split("\n")]

    def text(self, answer: Rows) -> str:
        """An answer as the text that `score_answer` takes."""
        return "\n".join(" ".join(row) for row in answer)

    @abc.abstractmethod
    def entry(self, dataset: Any, question: Rows) -> Entry | None:
        """The entry of a question, with what `score_answer` needs; None if there is no answer.

        Args:
          dataset: dataset of reasoning-gym.
          question: a grid.
        """


class DigitSquare(Suite):
    """Digits 1 to n in a square, each once in a row and column, and in each box."""

    alike = "digits"
    turns = True

    def __init__(self, side: int) -> None:
        """Stores the dataset's only size."""
        self.sides = (side, side, side)  # type: ignore[misc]

    def parameters(self, side: int) -> dict[str, Any]:
        """See `Suite`."""
        return {}

    def form(self, side: int) -> Form:
        """See `Suite`."""
        return Form(side, side, digits(1, side), "_", ("_",))

    def entry(self, dataset: Any, question: Rows) -> Entry | None:
        """See `Suite`: solved by backtracking."""
        board = numbers(question)
        if not dataset._solve(board):
            return None
        return {"answer": joined(board), "metadata": {"solution": board}}


class Futoshiki(Suite):
    """Digits 1 to n, each once in a row and column, with signs between unequal neighbours."""

    sides = (4, 4, 9)

    def parameters(self, side: int) -> dict[str, Any]:
        """See `Suite`."""
        return {"min_board_size": side, "max_board_size": side}

    def form(self, side: int) -> Form:
        """See `Suite`: cells at even places, signs or dots between them."""
        signs = (".", "<", ">", "\u2227", "\u2228")
        return Form(2 * side - 1, 2 * side - 1, (*digits(1, side), *signs), "_", ("_",))

    def question(self, entry: Entry) -> Rows:
        """See `Suite`: the drawing in the question."""
        side = len(entry["metadata"]["solution"])
        lines = entry["question"].split("\n")
        first = next(i for i, line in enumerate(lines) if line[:1] in (*"_123456789",) and i > 1)
        return _unspaced(lines[first : first + 2 * side - 1])

    def answer(self, entry: Entry) -> Rows:
        """See `Suite`."""
        return _unspaced(entry["answer"].split("\n"))

    def text(self, answer: Rows) -> str:
        """See `Suite`: as the dataset draws it."""
        return "\n".join(" ".join(row).replace(".", " ") for row in answer)

    def entry(self, dataset: Any, question: Rows) -> Entry | None:
        """See `Suite`: solved by our backtracking, since the dataset's solver errs (0.1.25)."""
        board = numbers([row[::2] for row in question[::2]])
        constraints: dict[Any, str] = {}
        for row, line in enumerate(question):
            for column, sign in enumerate(line):
                if sign in "<>" and row % 2 == 0:
                    place = (row // 2, column // 2)
                    constraints[place, (place[0], place[1] + 1)] = sign
                elif sign in "\u2227\u2228":
                    place = (row // 2, column // 2)
                    constraints[place, (place[0] + 1, place[1])] = "<>"[sign == "\u2228"]
        if not _filled(board, lambda *cell: dataset._is_valid(board, *cell, constraints)):
            return None
        drawn = dataset._puzzle_to_string(board, constraints)
        return {"answer": drawn, "metadata": {"solution": board}}


class NQueens(Suite):
    """Boards to which queens are added so that none attacks another; any such board is right."""

    sides = (4, 8, 10)
    turns = True

    def parameters(self, side: int) -> dict[str, Any]:
        """See `Suite`."""
        return {"n": side}

    def defaults(self, side: int) -> dict[str, Any]:
        """See `Suite`."""
        return {"max_remove": side - 1}

    def form(self, side: int) -> Form:
        """See `Suite`."""
        return Form(side, side, ("Q", "_"), "", ("_",))

    def question(self, entry: Entry) -> Rows:
        """See `Suite`."""
        board: Rows = entry["metadata"]["puzzle"]
        return board

    def entry(self, dataset: Any, question: Rows) -> Entry | None:
        """See `Suite`: all solutions that keep the queens of the question."""
        fits = [
            board
            for board in dataset._solutions
            if all(
                there in ("_", queen)
                for row, other in zip(question, board, strict=True)
                for there, queen in zip(row, other, strict=True)
            )
        ]
        return {"metadata": {"valid_answers": [self.text(board) for board in fits]}}


class Kakurasu(Suite):
    """In each row the column numbers of the ones add up to a given sum; in each column likewise."""

    sides = (4, 4, 6)

    def parameters(self, side: int) -> dict[str, Any]:
        """See `Suite`."""
        return {"min_rows": side, "max_rows": side, "min_cols": side, "max_cols": side}

    def form(self, side: int) -> Form:
        """See `Suite`: an additional row and column have the sums, with 0 in the corner."""
        return Form(side + 1, side + 1, digits(0, side * (side + 1) // 2), "_", ("_",))

    def question(self, entry: Entry) -> Rows:
        """See `Suite`."""
        side = entry["metadata"]["n_rows"]
        return self._framed([["_"] * side] * side, entry)

    def answer(self, entry: Entry) -> Rows:
        """See `Suite`."""
        return self._framed(super().answer(entry), entry)

    def text(self, answer: Rows) -> str:
        """See `Suite`: without the sums."""
        return super().text([row[:-1] for row in answer[:-1]])

    def entry(self, dataset: Any, question: Rows) -> Entry:
        """See `Suite`."""
        rows, columns = (
            [int(row[-1]) for row in grid] for grid in (question, transposed(question))
        )
        facts = {"row_sums": rows[:-1], "col_sums": columns[:-1]}
        return {"metadata": {**facts, "n_rows": len(rows) - 1, "n_cols": len(columns) - 1}}

    def _framed(self, grid: Rows, entry: Entry) -> Rows:
        facts = entry["metadata"]
        rows = [[*row, str(total)] for row, total in zip(grid, facts["row_sums"], strict=True)]
        return [*rows, [*map(str, facts["col_sums"]), "0"]]


class Transformed(Suite):
    """A matrix of numbers that is transformed by a method of the dataset; any cell may change."""

    def __init__(
        self,
        method: str,
        highest: int,
        *,
        turns: bool = False,
        open_symbols: tuple[str, ...] = (),
        fixed: Mapping[str, Any] | None = None,
    ) -> None:
        """Describes the transformation.

        Args:
          method: name of the dataset's method; it takes a matrix and the first value of `fixed`.
          highest: maximum number in a matrix; 0 for the maximum distance on the board.
          turns: see `Suite`.
          open_symbols: symbols that answers change; empty for all.
          fixed: fixed parameters of the generator by name.
        """
        self.sides = (3, 5, 10)  # type: ignore[misc]
        self.turns = turns  # type: ignore[misc]
        self._method, self._highest, self._open = method, highest, open_symbols
        self._fixed = dict(fixed or {})

    def parameters(self, side: int) -> dict[str, Any]:
        """See `Suite`."""
        return {"min_n": side, "max_n": side, **self._fixed}

    def form(self, side: int) -> Form:
        """See `Suite`."""
        return Form(side, side, digits(0, self._highest or 2 * side - 2), "", self._open)

    def question(self, entry: Entry) -> Rows:
        """See `Suite`."""
        return [list(map(str, row)) for row in entry["metadata"]["matrix"]]

    def answer(self, entry: Entry) -> Rows:
        """See `Suite`."""
        side = len(entry["metadata"]["matrix"])
        cells = entry["answer"].split()
        return [cells[row * side :][:side] for row in range(side)]

    def text(self, answer: Rows) -> str:
        """See `Suite`: a spiral is one line."""
        lines = super().text(answer)
        return lines.replace("\n", " ") if self._method == "_get_spiral" else lines

    def entry(self, dataset: Any, question: Rows) -> Entry:
        """See `Suite`."""
        more = list(self._fixed.values())[:1]
        found = getattr(dataset, self._method)(numbers(question), *more)
        flat = found and not isinstance(found[0], list)
        return {"answer": " ".join(map(str, found)) if flat else joined(found), "metadata": {}}


class Life(Suite):
    """A board of the game of life after some steps, with joined edges."""

    sides = (4, 8, 30)
    turns = True

    def parameters(self, side: int) -> dict[str, Any]:
        """See `Suite`."""
        return {"grid_size_x": side, "grid_size_y": side}

    def form(self, side: int) -> Form:
        """See `Suite`."""
        return Form(side, side, ("0", "1"))

    def question(self, entry: Entry) -> Rows:
        """See `Suite`: the last matrix in the question."""
        text = entry["question"]
        matrix, _ = json.JSONDecoder().raw_decode(text[text.rindex("[[") :])
        return [list(map(str, row)) for row in matrix]

    def answer(self, entry: Entry) -> Rows:
        """See `Suite`."""
        return [list(map(str, row)) for row in json.loads(entry["answer"])]

    def text(self, answer: Rows) -> str:
        """See `Suite`."""
        return json.dumps(numbers(answer))

    def entry(self, dataset: Any, question: Rows) -> Entry:
        """See `Suite`."""
        board = np.asarray(numbers(question))
        for _ in range(dataset.config.simulation_steps):
            around = sum(
                np.roll(board, (row, column), (0, 1))
                for row in (-1, 0, 1)
                for column in (-1, 0, 1)
                if row or column
            )
            board = ((around == 3) | ((around == 2) & (board == 1))).astype(int)
        return {"answer": json.dumps(board.tolist()), "metadata": {}}


SUITES: dict[str, Suite] = {
    "mini_sudoku": DigitSquare(4),
    "sudoku": DigitSquare(9),
    "futoshiki": Futoshiki(),
    "n_queens": NQueens(),
    "kakurasu": Kakurasu(),
    "binary_matrix": Transformed("_get_distances", 0, turns=True, open_symbols=("1",)),
    "rotate_matrix": Transformed("_get_rotated", 9, fixed={"min_rotations": 1, "max_rotations": 1}),
    "spiral_matrix": Transformed("_get_spiral", 9),
    "game_of_life": Life(),
}
"""The datasets by their names in reasoning-gym."""


def _filled(board: list[list[int]], fits: Callable[[int, int, int], bool]) -> bool:
    """Fills the empty cells of a square by backtracking; returns whether that is possible.

    Args:
      board: numbers, 0 for an empty cell; changed in place.
      fits: takes row, column and number, and returns whether the cell may have this number.
    """
    sides = range(len(board))
    empty = next(((r, c) for r in sides for c in sides if not board[r][c]), None)
    if empty is None:
        return True
    row, column = empty
    for number in range(1, len(board) + 1):
        if fits(row, column, number):
            board[row][column] = number
            if _filled(board, fits):
                return True
            board[row][column] = 0
    return False


def digits(first: int, last: int) -> tuple[str, ...]:
    """The whole numbers from `first` to `last` as symbols."""
    return tuple(map(str, range(first, last + 1)))


def blanked(puzzle: Sequence[Sequence[int]]) -> Rows:
    """Numbers as symbols, 0 as a blank."""
    return [[str(cell) if cell else "_" for cell in row] for row in puzzle]


def numbers(rows: Rows) -> list[list[int]]:
    """Symbols as numbers, a blank as 0."""
    return [[0 if cell == "_" else int(cell) for cell in row] for row in rows]


def joined(board: Sequence[Sequence[int]]) -> str:
    """A board of numbers as text."""
    return "\n".join(" ".join(map(str, row)) for row in board)


def transposed(rows: Rows) -> Rows:
    """A grid with rows and columns exchanged."""
    return [list(column) for column in zip(*rows, strict=True)]


def _unspaced(lines: Sequence[str]) -> Rows:
    """Every second character of drawn lines, with a dot for a space."""
    wide = 2 * len(lines) - 1
    return [list(line.ljust(wide)[:wide:2].replace(" ", ".")) for line in lines]

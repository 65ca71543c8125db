"""Traces of all kinds of puzzles, made by hand, and boards that no task of ours has."""

import numpy as np

from trm_jax.infer.rollout import Answers
from trm_jax.show.trace_page import Trace
from trm_jax.show.trace_record import trace
from trm_jax.tasks import task_of
from trm_jax.tasks.arc.canvas import to_canvas
from trm_jax.tasks.board import Board, Token

STEPS = 4
SUDOKU = {"task": "sudoku", "box": [2, 2]}
MAZE = {"task": "maze", "side": 5}
ARC = {"task": "arc", "side": 6}
GRIDS = ("1234341221434321", "1234341221434321", "1234342121434312", "1234341221434321")
PAD = Token("pad", ".")

LATIN = Board(3, 4, (PAD, Token("blank", "_"), *(Token(c, c, letter=c) for c in "ABCD")))
"""Letters on paper without boxes; not square."""
FLEET = Board(
    4,
    2,
    (
        Token("pad", " ", fill="#eeeeee"),
        Token("water", "~", fill="#2b6cb0", dark="#102030"),
        Token("ship", "H", "H", fill="#ffee88"),
        Token("note", "n", "n"),
        *(Token(f"kind {i}", "k", fill="#884422") for i in range(40)),
    ),
    box=(2, 0),
    open_tokens=(1,),
)
"""Coloured cells with letters, and one that is paper; too many tokens for one character each."""

SUDOKU_9 = {"task": "sudoku", "box": [3, 3]}
ANSWER_9 = "534678912672195348198342567859761423426853791713924856961537284287419635345286179"
QUESTION_9 = "53..7....6...95.....8....6.8...6...34....3..17...2.....6....2.....41...5....8..7."


def board(shape):
    """How the boards of a shape look."""
    return task_of(shape).board(shape)


def grid(shape, text):
    """A board out of a line of text."""
    return task_of(shape).grid(shape, task_of(shape).read(shape, text))


def tokens(rows):
    """A grid of token ids."""
    return np.asarray(rows, np.uint8)


def sudoku_trace(name="puzzle 1", steps=STEPS):
    """The third answer differs from its neighbours in four cells."""
    path = np.stack([grid(SUDOKU, GRIDS[i % 4]) for i in range(steps)])
    question = grid(SUDOKU, "12..34....43....")
    right = [i % 4 != 2 for i in range(steps)]
    return _trace(name, board(SUDOKU), question, path, right)


def maze_trace(name="puzzle 2"):
    """Four answers, each one cell longer."""
    question = grid(MAZE, "S....####.#...#.####....G")
    path = np.stack([question] * STEPS)
    for step in range(STEPS):
        path[step, 0, 1 : step + 2] = 5
    return _trace(name, board(MAZE), question, path, [False] * STEPS)


def fleet_trace(name="fleet"):
    """Two answers that differ in one cell, which the question gives."""
    question = tokens([[1, 2], [1, 3], [1, 1], [43, 1]])
    path = np.stack([question] * 2)
    path[:, 0, 0], path[1, 1, 1] = 2, 42
    return _trace(name, FLEET, question, path, [None, None])


def canvas_answers(grids, side=6, confidence=0.75):
    """What a model says whose answers are these grids of ARC, step by step."""
    canvases = np.stack([to_canvas(np.asarray(grid, np.uint8), side) for grid in grids])
    logits = np.linspace(-2, 2, len(grids)).astype(np.float32)
    return Answers(canvases, logits, np.full(canvases.shape, confidence, np.float16))


def some_arc_trace(name="task a, test 1", answer=((3, 3), (3, 3))):
    """Answers of 1x1, 2x3, none at all, and 2x2 cells; the last is right."""
    grids = [[[1]], [[3, 3, 1], [3, 4, 1]], np.zeros((0, 0)), [[3, 3], [3, 3]]]
    question = to_canvas(tokens([[1, 2], [3, 4], [5, 6]]), ARC["side"])
    label = np.zeros_like(question)
    if answer is not None:
        label = to_canvas(tokens(answer), ARC["side"])
    return trace(ARC, name, question, label, canvas_answers(grids))


def all_kinds():
    """A Sudoku, a maze, two of ARC's tests, a Sudoku of one step, and a board of nobody's."""
    return [
        sudoku_trace(),
        maze_trace(),
        some_arc_trace(),
        some_arc_trace("unknown, test 1", None),
        sudoku_trace("short", steps=1),
        fleet_trace(),
    ]


def candidate_traces():
    """Eliminations, guesses and restarts in a Sudoku of 4x4 and one of 9x9, both solved."""
    return [
        candidate_trace("four", SUDOKU, "1............3..", GRIDS[0], [(2, 1)]),
        candidate_trace("nine", SUDOKU_9, QUESTION_9, ANSWER_9, [(2, 0), (3, 5), (10, 3)]),
    ]


def candidate_trace(name, shape, question, answer, guesses):
    """What a model would do that knows the rules of Sudoku and nothing else.

    In each round candidates die that a decided cell of the round before forbids; then a cell is
    guessed: cells and candidates as `guesses` say, after these the first open cell, rightly.
    """
    look, (high, wide) = board(shape), shape["box"]
    asked, truth = grid(shape, question.ljust(len(answer), ".")), grid(shape, answer)
    side, rng, guesses = high * wide, np.random.default_rng(0), list(guesses)
    rows, columns = np.divmod(np.arange(side * side), side)
    boxes = rows // high * high + columns // wide
    units = (rows, columns, boxes)
    peers = sum(unit[:, None] == unit for unit in units) > 0
    np.fill_diagonal(peers, False)
    digits = np.arange(side)
    first = (asked.reshape(-1, 1) == digits + 2) | (asked.reshape(-1, 1) == 1)
    alive, rounds = first, []
    while not rounds or rounds[-1][2] != "solved":
        one_left = alive.sum(1) == 1
        alive = alive & ~(peers[:, :, None] & (alive & one_left[:, None])[None]).any(1)
        right = digits == truth.reshape(-1, 1) - 2
        shares = alive * np.where(right, 0.9, rng.uniform(0.1, 0.5, alive.shape))
        event, marked, again = "solved", None, False
        if not alive.any(1).all():
            event, again = "conflict: starts again", True
        elif (alive.sum(1) > 1).any():
            cell, digit = _guess(alive, truth, guesses)
            alive = alive.copy()
            alive[cell] = digits == digit
            shares[cell] *= alive[cell]
            place = f"row {cell // side + 1}, column {cell % side + 1}"
            event, marked = f"guesses {look.tokens[digit + 2].letter} in {place}", cell
        rounds.append((alive, shares, event, marked))
        alive = first if again else alive
    return _candidate_trace(name, look, asked, truth, rounds)


def _guess(alive, truth, guesses):
    """A cell that is open and one of its candidates."""
    while guesses:
        cell, digit = guesses.pop(0)
        if alive[cell].sum() > 1 and alive[cell, digit]:
            return cell, digit
    cell = int((alive.sum(1) > 1).argmax())
    return cell, int(truth.flat[cell]) - 2


def _candidate_trace(name, look, asked, truth, rounds):
    kept, shares, events, marked = zip(*rounds, strict=True)
    kept, shares = np.stack(kept), np.stack(shares)
    decided = kept.sum(-1) == 1
    path = np.where(decided, kept.argmax(-1) + 2, 1).astype(np.uint8).reshape(-1, *asked.shape)
    return Trace(
        name,
        look,
        asked,
        path,
        np.where(decided, shares.max(-1), 0).reshape(path.shape),
        np.asarray([0.05 if event.startswith("conflict") else 0.9 for event in events]),
        [bool((tokens == truth).all()) for tokens in path],
        "solved",
        candidates=shares.reshape(*path.shape, -1),
        events=events,
        marked=marked,
    )


def _trace(name, board, question, path, right):
    confidence = np.linspace(0.2, 1, path.size).reshape(path.shape)
    halting = np.linspace(0.1, 0.9, len(path))
    verdict = {True: "solved", False: "NOT solved", None: "unknown"}[right[-1]]
    return Trace(name, board, question, path, confidence, halting, right, verdict)

"""The form of a task's puzzles, as `/api/info` describes it."""

from typing import Any

from trm_jax.core.symmetries import FIRST_DIGIT
from trm_jax.show.trace_page import look
from trm_jax.tasks.task import Shape, task_of


def puzzle_facts(shape: Shape) -> dict[str, Any]:
    """What a page needs to write puzzles, without knowing the task.

    Args:
      shape: form of the puzzles.

    Returns:
      `task`, `title`, `rows` and `columns`; `canvas`, whether grids differ in size, with token 0
      outside of a question; `empty`, the tokens of a question without givens; `symbols`, see
      `_symbols`; `board`, the look of all tokens.
    """
    task = task_of(shape)
    board = task.board(shape)
    return {
        "task": task.name,
        "title": task.title(shape),
        "rows": board.rows,
        "columns": board.columns,
        "canvas": board.canvas,
        "empty": task.empty_question(shape).tolist(),
        "symbols": _symbols(shape),
        "firstDigit": FIRST_DIGIT,
        "board": look(board),
    }


def _symbols(shape: Shape) -> list[dict[str, Any]]:
    """The symbols of each token.

    `reads` lists the texts that are read as the token, and `text` is the one that cells of JSON
    have; `asked` says whether questions have the token.
    """
    task = task_of(shape)
    tokens, asked = task.board(shape).tokens, task.question_tokens(shape)
    words = task.separator(shape)
    found = []
    for number, characters in enumerate(task.symbols(shape) or ()):
        if not characters:
            continue
        reads = [characters] if words else list(characters)
        found.append(
            {
                "token": number,
                "text": next((each for each in reads if each.strip()), reads[0]),
                "reads": reads,
                "word": tokens[number].word,
                "asked": number in asked,
            }
        )
    return found

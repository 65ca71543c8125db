"""`trm solve`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from trm_jax import draw
from trm_jax.commands import common
from trm_jax.data.sudoku import Sudoku
from trm_jax.errors import EXIT_DONE, UserError
from trm_jax.solve import Answer, read_puzzles, solve
from trm_jax.trained import load

EXIT_WRONG = 1
MOST_NAME = 256  # characters; a longer argument is a puzzle, and asking the disk would fail


def define(values: flags.FlagValues, _: Sequence[str]) -> None:
    """Adds the flags."""
    common.define_workdir(values)
    common.define_checkpoint(values)
    flags.DEFINE_bool("show", False, "Draw the answer after every step.", flag_values=values)
    flags.DEFINE_string("picture", None, "PNG of the first puzzle, by step.", flag_values=values)
    flags.DEFINE_bool("json", False, "Print one JSON line per puzzle.", flag_values=values)


def run(values: flags.FlagValues, rest: Sequence[str]) -> int:
    """Solves puzzles.

    trm solve --workdir DIR PUZZLE... | FILE | -

    A puzzle is its cells row by row, '.' or 0 for a blank; a file, or '-' for standard input,
    holds one a line. Each answer is checked by the rules and the givens. Exit codes: 0 all
    solved, 1 some answer is wrong, 2 a malformed or contradictory puzzle.
    """
    trained = load(common.need(values, "workdir"), values.checkpoint)
    sudoku = Sudoku.from_manifest(trained.manifest)
    questions = read_puzzles(sudoku, _texts(rest))
    answers = solve(trained, questions, common.depth(values, trained.model.config.N))
    for number, answer in enumerate(answers, start=1):
        if values.json:
            print(json.dumps(_record(sudoku, answer)))
        else:
            print(_describe(sudoku, answer, number, values.show))
    if values.picture:
        first = answers[0]
        figure = draw.solving(sudoku, first.question, first.path, first.confidence)
        draw.save(figure, values.picture)
        print(f"wrote {values.picture}", file=sys.stderr)
    return EXIT_WRONG if any(answer.broken for answer in answers) else EXIT_DONE


def _texts(rest: Sequence[str]) -> list[str]:
    """The puzzles of the arguments, those of files and of standard input line by line."""
    texts: list[str] = []
    for argument in rest:
        if argument == "-":
            lines = sys.stdin.read().splitlines()
        elif len(argument) < MOST_NAME and Path(argument).is_file():
            try:
                lines = Path(argument).read_text().splitlines()
            except (UnicodeDecodeError, OSError) as error:
                raise UserError(
                    f"{argument} cannot be read ({error}); it has to be a text file with one "
                    "puzzle a line."
                ) from error
        else:
            lines = [argument]
        texts += [line for line in lines if line.strip()]
    return texts


def _record(sudoku: Sudoku, answer: Answer) -> dict[str, Any]:
    return {
        "question": sudoku.format_line(answer.question),
        "answer": sudoku.format_line(answer.answer),
        "solved": not answer.broken,
        "broken": answer.broken,
        "steps": answer.steps,
        "confidence": [round(float(c), 4) for c in answer.confidence],
    }


def _describe(sudoku: Sudoku, answer: Answer, number: int, show: bool) -> str:
    colour = sys.stdout.isatty()
    lines = []
    if show:
        for step, (grid, sure) in enumerate(zip(answer.path, answer.confidence, strict=True), 1):
            lines.append(f"puzzle {number}, step {step}: sure {sure:.1%}")
            lines.append(sudoku.render(grid, answer.question, colour))
    else:
        lines.append(sudoku.render(answer.answer, answer.question, colour))
    if answer.broken:
        verdict = f"NOT solved ({'; '.join(answer.broken[:3])})"
    else:
        verdict = "solved, by the rules and the givens"
    believed = answer.confidence[answer.steps - 1] > 0.5
    when = f"sure after step {answer.steps}" if believed else "never sure"
    last = f"{answer.confidence[-1]:.1%} sure after step {len(answer.path)}"
    lines.append(f"puzzle {number}: {verdict}; {when}, {last}")
    return "\n".join(lines)

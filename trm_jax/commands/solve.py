"""`trm solve`."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from trm_jax.commands import common, solve_tasks, traces
from trm_jax.core.errors import EXIT_DONE, UserError
from trm_jax.data.views import ARC, kind_of
from trm_jax.infer.solve import Answer, read_puzzles, solve
from trm_jax.show import figures as draw
from trm_jax.show.trace_record import trace_puzzles
from trm_jax.tasks.maze.maze import Maze
from trm_jax.tasks.sudoku.sudoku import Sudoku
from trm_jax.train.trained import load

EXIT_WRONG = 1
MOST_NAME = 256  # characters; a longer argument is a puzzle, and asking the disk would fail


def define(values: flags.FlagValues, _: Sequence[str]) -> None:
    """Adds the flags."""
    common.define_workdir(values)
    common.define_checkpoint(values)
    flags.DEFINE_bool("show", False, "Draw the answer after every step.", flag_values=values)
    flags.DEFINE_string("picture", None, "PNG of the first Sudoku, by step.", flag_values=values)
    traces.define(values)
    flags.DEFINE_bool("json", False, "Print one JSON line per puzzle or task.", flag_values=values)
    common.define_voting(values)
    solve_tasks.define(values)


def run(values: flags.FlagValues, rest: Sequence[str]) -> int:
    """Solves puzzles.

    trm solve --workdir DIR PUZZLE... | FILE | -
    trm solve --workdir DIR TASKS.json [--fit-updates 300] [--out submission.json]   (ARC)

    A puzzle is its cells row by row; in a Sudoku '.' or 0 is a blank, in a maze '.' or a space is
    free. A file, or '-' for standard input, holds one a line. Each answer is checked by the rules
    and the givens. ARC tasks come in Kaggle's form; rows of the puzzle table that their copies
    lack are fitted on their demonstrations, and all copies of a test vote on two attempts at it.
    --trace out.html writes a page that plays the answers step by step, --gif an animation.
    Exit codes: 0 all solved, 1 some answer is wrong, 2 a malformed or contradictory puzzle.
    """
    traces.check(values)
    trained = load(common.need(values, "workdir"), values.checkpoint)
    if trained.manifest["task"] == ARC:
        return solve_tasks.run(values, rest, trained)
    solve_tasks.refuse(values)
    kind = kind_of(trained.manifest)
    if values.picture and not isinstance(kind, Sudoku):
        raise UserError("--picture draws Sudokus only; `trm show --workdir DIR` draws the others.")
    questions = read_puzzles(kind, _texts(rest))
    steps = common.depth(values, trained.model.config.N)
    answers = solve(trained, questions, steps)
    for number, answer in enumerate(answers, start=1):
        if values.json:
            print(json.dumps(_record(kind, answer)))
        else:
            print(_describe(kind, answer, number, values.show))
    if values.picture and isinstance(kind, Sudoku):
        first = answers[0]
        figure = draw.solving(kind, first.question, first.path, first.confidence)
        draw.save(figure, values.picture)
        print(f"wrote {values.picture}", file=sys.stderr)
    if most := traces.wanted(values, len(questions)):
        traces.write(values, trace_puzzles(trained, questions[:most], steps), len(questions))
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


def _record(kind: Sudoku | Maze, answer: Answer) -> dict[str, Any]:
    return {
        "question": kind.format_line(answer.question),
        "answer": kind.format_line(answer.answer),
        "solved": not answer.broken,
        "broken": answer.broken,
        "steps": answer.steps,
        "confidence": [round(float(c), 4) for c in answer.confidence],
    }


def _describe(kind: Sudoku | Maze, answer: Answer, number: int, show: bool) -> str:
    colour = sys.stdout.isatty()
    lines = []
    if show:
        for step, (grid, sure) in enumerate(zip(answer.path, answer.confidence, strict=True), 1):
            lines.append(f"puzzle {number}, step {step}: sure {sure:.1%}")
            lines.append(kind.render(grid, answer.question, colour))
    else:
        lines.append(kind.render(answer.answer, answer.question, colour))
    if answer.broken:
        verdict = f"NOT solved ({'; '.join(answer.broken[:3])})"
    else:
        verdict = "solved, by the rules and the givens"
    believed = answer.confidence[answer.steps - 1] > 0.5
    when = f"sure after step {answer.steps}" if believed else "never sure"
    last = f"{answer.confidence[-1]:.1%} sure after step {len(answer.path)}"
    lines.append(f"puzzle {number}: {verdict}; {when}, {last}")
    return "\n".join(lines)

"""`trm solve`."""

import json
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from absl import flags

from trm_jax.commands import (
    chain_flags,
    common,
    model_flags,
    solve_chains,
    solve_groups,
    traces,
)
from trm_jax.commands.puzzle_sources import sources
from trm_jax.commands.search_flags import refuse
from trm_jax.core.errors import EXIT_DONE
from trm_jax.infer.rollout import Rollout
from trm_jax.infer.solve import Answer, solve
from trm_jax.models.lattice.lattice_model import LatticeModel
from trm_jax.released.cards import cards, fitting
from trm_jax.show import figures, pictures
from trm_jax.show.panels import Panel
from trm_jax.show.terminal import render
from trm_jax.show.trace_record import trace_puzzles
from trm_jax.tasks.task import Shape, task_of
from trm_jax.tasks.texts import read_puzzles
from trm_jax.train.trained import Trained

EXIT_WRONG = 1


def define(values: flags.FlagValues, _: Sequence[str]) -> None:
    """Adds the flags."""
    model_flags.define(values)
    common.define_checkpoint(values)
    shown = "Draw the answer after every supervision step."
    flags.DEFINE_bool("show", False, shown, flag_values=values)
    picture = "PNG file to draw the first puzzle's answer to, after every supervision step."
    flags.DEFINE_string("picture", None, picture, flag_values=values)
    traces.define(values)
    line = "Print one JSON line per puzzle (ARC: per task)."
    flags.DEFINE_bool("json", False, line, flag_values=values)
    common.define_voting(values)
    solve_groups.define(values)
    chain_flags.define(values)


def run(values: flags.FlagValues, rest: Sequence[str]) -> int:
    """Solves puzzles.

    Usage:
      trm solve [--model NAME | --workdir DIR] PUZZLE... | FILE | -
      trm solve --workdir DIR PUZZLE [--passes 4096] [--chains 64] [--nosearch]   (lattice models)
      trm solve --workdir DIR TASKS.json [--fit_updates 300] [--out submission.json]   (ARC)

    Without --model and --workdir, a released model for puzzles of this shape is used
    (`trm models` lists them). PUZZLE has the cells row by row: in a Sudoku '.' or 0 is a blank, in
    a maze '.' or a space is free. FILE, or '-' for standard input, has one puzzle per line or one
    row per line; frames and comments are skipped. Each answer is checked against the rules and the
    givens. --trace out.html writes a page that plays the answers step by step, --gif an animation.

    A lattice model searches, and abstains rather than give a wrong answer.

    ARC tasks are in Kaggle's format, or a directory with one file per task. Missing rows of the
    puzzle table are trained on the task's demonstrations; then all augmented copies of a test vote
    for two attempts at it.

    Exit codes: 0 all solved; 1 some answers are wrong or missing; 2 wrong usage, or a malformed or
    contradictory puzzle.
    """
    traces.check(values)
    figures.check_picture("--picture", values.picture)
    texts = None
    if model_flags.given(values):
        trained = model_flags.load_model(values, values.checkpoint)
    else:
        texts = sources(rest, [card.shape for card in cards()])
        name = fitting([source.text for source in texts]).name
        print(f"answered by the released model {name}", file=sys.stderr)
        trained = model_flags.released(name, values.checkpoint)
    if task_of(trained.manifest).grouped:
        return solve_groups.run(values, rest, trained)
    solve_groups.refuse(values, trained)
    texts = sources(rest, [trained.manifest]) if texts is None else texts
    questions, notes = read_puzzles(trained.manifest, texts)
    for note in notes:
        print(note, file=sys.stderr)
    if not isinstance(trained.model, LatticeModel):
        chain_flags.refuse_all(values, trained.experiment.model.kind)
    elif search := chain_flags.make_search(values, trained, trained.model, solve_chains.SLOTS):
        why = "limits a single chain; add --nosearch, or give --rounds or --passes instead"
        refuse(values, ("steps",), why)
        return solve_chains.run(values, trained, search, questions)
    return _solve(values, questions, trained)


def _solve(values: flags.FlagValues, questions: np.ndarray, trained: Trained) -> int:
    shape, steps = trained.manifest, common.depth(values, trained.model.config.N)
    most = trained.experiment.eval_batch_size
    rollout = Rollout(trained.model, trained.mesh, steps, min(len(questions), most))
    answers = solve(rollout, trained.weights, shape, questions)
    for number, answer in enumerate(answers, start=1):
        if values.json:
            print(json.dumps(_record(shape, answer)))
        else:
            print(_describe(shape, answer, number, values.show))
    if values.picture:
        _draw(shape, answers[0], values.picture)
    if shown := traces.wanted(values, len(questions)):
        size = min(shown, most)
        watched = Rollout(trained.model, trained.mesh, steps, size, confidence=True)
        found = trace_puzzles(watched, trained.weights, shape, questions[:shown])
        traces.write(values, trained.workdir.root.name, found, len(questions))
    return EXIT_WRONG if any(answer.broken for answer in answers) else EXIT_DONE


def _draw(shape: Shape, answer: Answer, target: str) -> None:
    task = task_of(shape)
    question = task.grid(shape, answer.question)
    path = np.stack([task.grid(shape, tokens) for tokens in answer.path])
    figure = pictures.solving(task.board(shape), question, path, answer.confidence)
    figures.save(figure, target)
    print(f"wrote {target}", file=sys.stderr)


def _record(shape: Shape, answer: Answer) -> dict[str, Any]:
    task = task_of(shape)
    return {
        "question": task.write(shape, answer.question),
        "answer": task.write(shape, answer.answer),
        "solved": None if answer.broken is None else not answer.broken,
        "broken": answer.broken or [],
        "steps": answer.steps,
        "confidence": [round(float(c), 4) for c in answer.confidence],
    }


def _describe(shape: Shape, answer: Answer, number: int, show: bool) -> str:
    colour, task = sys.stdout.isatty(), task_of(shape)
    board, question = task.board(shape), task.grid(shape, answer.question)

    def drawn(tokens: np.ndarray) -> str:
        return render(board, Panel("", task.grid(shape, tokens), question), colour)

    lines = []
    if show:
        for step, (tokens, share) in enumerate(zip(answer.path, answer.confidence, strict=True), 1):
            lines += [f"puzzle {number}, step {step}: confidence {share:.1%}", drawn(tokens)]
    else:
        lines.append(drawn(answer.answer))
    verdict = "solved, by the rules and the givens"
    if answer.broken is None:
        verdict = "answered; the task has no rules to check the answer"
    elif answer.broken:
        verdict = f"NOT solved ({'; '.join(answer.broken[:3])})"
    first, last = answer.first_confident, len(answer.path)
    when = "never confident" if first is None else f"first confident at step {first} of {last}"
    lines.append(
        f"puzzle {number}: {verdict}; {when}, confidence {answer.confidence[-1]:.1%} at the end"
    )
    return "\n".join(lines)

"""A trace in the terminal: the board after each step, and what happened in it."""

from trm_jax.show.panels import Panel
from trm_jax.show.terminal import render
from trm_jax.show.trace_page import Trace


def story(trace: Trace, colour: bool) -> str:
    """Draws each step below a caption; undecided cells are blank.

    Args:
      trace: a trace whose grids all have the same size.
      colour: whether to use ANSI colours.
    """
    lines = []
    for step, tokens in enumerate(trace.path, start=1):
        lines.append(f"{trace.name}, {said(trace, step)}")
        lines.append(render(trace.board, Panel("", tokens, trace.question), colour))
        if trace.events and trace.events[step - 1]:
            lines.append(trace.events[step - 1])
    return "\n".join(lines)


def said(trace: Trace, step: int) -> str:
    """A step's number, and the model's confidence."""
    share = trace.halting[step - 1]
    if trace.candidates is None:
        return f"step {step}: confidence {share:.1%}"
    return f"round {step}: no conflict {share:.1%}"

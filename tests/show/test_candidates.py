"""Watching candidates being eliminated: what the page is told, the animation, pictures, text."""

import dataclasses
import io
import re

import numpy as np
import pytest
from PIL import Image

from tests import some_traces
from tests.show.test_trace import Page
from trm_jax.show import pencil, pictures, trace_gif
from trm_jax.show.trace_page import UNDECIDED, guesses, kinds, page
from trm_jax.show.trace_text import story

FOUR, NINE = some_traces.candidate_traces()


def longer(trace, times):
    """The same rounds again and again."""
    arrays = ("path", "confidence", "halting", "candidates")
    changes = {name: np.concatenate([getattr(trace, name)] * times) for name in arrays}
    lists = {name: list(getattr(trace, name)) * times for name in ("right", "events", "marked")}
    return dataclasses.replace(trace, **changes, **lists)


def test_the_traces_have_guesses_and_a_restart():
    for trace in (FOUR, NINE):
        found = kinds(trace)
        assert found.count("restart") == 1 and found.count("guess") == len(found) - 2
        assert trace.right[-1] and not trace.right[0]
        restart = found.index("restart")
        assert guesses(trace, restart + 1) == list(trace.marked[:restart])[::-1]
        assert guesses(trace, restart + 2) == [trace.marked[restart + 1]]


def test_kinds_without_events_or_guesses():
    assert set(kinds(dataclasses.replace(FOUR, events=None, marked=None))) == {""}
    quiet = dataclasses.replace(FOUR, events=None)
    assert set(kinds(quiet)) == {"guess", ""}
    with pytest.raises(ValueError, match="zip"):
        kinds(dataclasses.replace(FOUR, events=FOUR.events[1:]))


def test_a_page_is_told_what_is_alive_in_open_cells():
    found = Page(page("two", [FOUR, NINE]))
    assert found.data()["firstDigit"] == 2
    for one, trace in zip(found.traces(), (FOUR, NINE), strict=True):
        count = trace.candidates.shape[-1]
        assert one["candidates"]["count"] == count
        assert one["events"] == list(trace.events) and one["marked"] == list(trace.marked)
        assert one["kinds"] == kinds(trace)
        for line, tokens, shares in zip(
            one["candidates"]["rounds"], trace.path, trace.candidates, strict=True
        ):
            spelt = re.findall(r"\.|\d\d", line)
            assert "".join(spelt) == line
            seen = np.asarray([0 if s == "." else int(s) / 99 for s in spelt])
            wanted = shares[tokens == UNDECIDED].reshape(-1)
            assert seen.shape == wanted.shape
            np.testing.assert_allclose(seen, wanted, atol=0.0051)


def test_faint_candidates_are_told_from_dead_ones():
    faint = dataclasses.replace(FOUR, candidates=np.where(FOUR.candidates > 0, 1e-4, 0))
    (one,) = Page(page("faint", [faint])).traces()
    alive = (faint.candidates[0] > 0) & (faint.path[0] == UNDECIDED)[:, :, None]
    assert one["candidates"]["rounds"][0].count("00") == alive.sum() > 0


def test_a_page_of_some_hundred_rounds_is_small():
    trace = longer(NINE, 13)
    assert len(trace.path) > 300
    assert len(page("long", [trace])) < 350_000


def test_traces_without_candidates_have_none():
    (one,) = Page(page("old", [some_traces.sudoku_trace()])).traces()
    assert {one[name] for name in ("candidates", "kinds", "events", "marked")} == {None}


@pytest.mark.parametrize(
    ("count", "columns_and_rows"),
    [(2, (2, 1)), (4, (2, 2)), (6, (3, 2)), (9, (3, 3)), (16, (4, 4))],
)
def test_places_of_marks(count, columns_and_rows):
    assert pencil.places(count) == columns_and_rows


def marks(axes):
    """The small letters on axes, with their places and opacities."""
    sizes = [text.get_fontsize() for text in axes.texts]
    small = [t for t in axes.texts if t.get_fontsize() < max(sizes)]
    return {(t.get_text(), *np.round(t.get_position(), 3).tolist()): t.get_alpha() for t in small}


def test_pictures_have_a_mark_for_each_candidate_that_is_alive():
    figure = pictures.eliminating(NINE, most=3)
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["question", "round 1", "round 2", f"round {len(NINE.path)}"]
    first = figure.axes[1]
    assert NINE.events[0] in first.get_xlabel() and "no conflict: 90.0%" in first.get_xlabel()
    alive = (NINE.candidates[0] > 0) & (NINE.path[0] == UNDECIDED)[:, :, None]
    drawn = marks(first)
    assert len(drawn) == alive.sum() > 100
    assert pencil.FAINTEST < min(drawn.values()) < max(drawn.values()) <= 1
    for (letter, x, y), _ in drawn.items():
        assert alive[int(y), int(x), int(letter) - 1]
    assert len(figure.axes[3].texts) == 81, "all is decided in the end"


def test_the_animation_draws_rounds(monkeypatch):
    image = Image.open(io.BytesIO(trace_gif.animation(FOUR)))
    assert image.n_frames == len(FOUR.path) + 1
    monkeypatch.setattr(trace_gif, "FIRST_ROUNDS", 1)
    monkeypatch.setattr(trace_gif, "LAST_ROUNDS", 2)
    short = Image.open(io.BytesIO(trace_gif.animation(longer(FOUR, 9))))
    assert short.n_frames == 4 and short.size == image.size


def test_an_animation_without_events():
    quiet = dataclasses.replace(FOUR, events=None, marked=None)
    assert Image.open(io.BytesIO(trace_gif.animation(quiet))).n_frames == len(FOUR.path) + 1


def test_a_story_in_a_terminal():
    lines = story(FOUR, False).split("\n")
    assert lines[0] == "four, round 1: no conflict 90.0%"
    assert lines[1:9] == [
        "┌─────┬─────┐",
        "│ 1 . │ 2 . │",
        "│ . . │ . . │",
        "├─────┼─────┤",
        "│ . . │ . . │",
        "│ . 3 │ . . │",
        "└─────┴─────┘",
        "guesses 2 in row 1, column 3",
    ]
    assert "conflict: starts again" in lines and lines[-1] == "solved"
    old = story(some_traces.sudoku_trace(), False).split("\n")
    assert old[0] == "puzzle 1, step 1: confidence 10.0%" and len(old) == 4 * 8

"""The page of a model that eliminates candidates in a headless Chromium."""

import pytest

from tests import chromium, some_traces
from tests.show.test_trace_browser import middle
from trm_jax.show.trace_page import UNDECIDED, kinds, page

PATH = chromium.find()
pytestmark = pytest.mark.skipif(PATH is None, reason="there is no Chromium on PATH")
TRACES = [*some_traces.candidate_traces(), some_traces.sudoku_trace()]
FOUR, NINE, OLD = 1, 2, 3
RESTART = kinds(TRACES[NINE - 1]).index("restart") + 1


@pytest.fixture(scope="module")
def browser():
    with chromium.Browser(PATH) as browser:
        yield browser


@pytest.fixture
def show(browser, tmp_path):
    """Opens the page at a place; afterwards nothing may have been complained of or loaded."""
    path = tmp_path / "out.html"
    path.write_text(page("rounds", TRACES))
    browser.complaints.clear()
    browser.requests.clear()
    browser.window(1100, 800)

    def show(fragment=""):
        browser.open("about:blank")
        browser.open(path.as_uri() + fragment)
        return browser

    yield show
    assert not browser.complaints
    asked = {url for url in browser.requests if not url.startswith(("data:", "about:"))}
    assert {url.split("#")[0] for url in asked} == {path.as_uri()}


def marks(browser):
    """Opacity of each mark by its letter and the cell it is in."""
    found = browser.run(
        "[...document.querySelectorAll('#board .mark')].map((m) => [m.textContent,"
        " Math.floor(m.x.baseVal[0].value), Math.floor(m.y.baseVal[0].value),"
        " +m.style.fillOpacity])"
    )
    return {(row, column, letter): opacity for letter, column, row, opacity in found}


def text(browser, selector):
    return browser.run(f"document.querySelector('{selector}').textContent")


@pytest.mark.parametrize("puzzle", [FOUR, NINE])
def test_marks_show_what_is_alive(show, puzzle):
    trace = TRACES[puzzle - 1]
    browser = show(f"#puzzle={puzzle}&step=0")
    for step in range(len(trace.path) + 1):
        drawn = marks(browser)
        assert len(drawn) == (trace.question == UNDECIDED).sum() * trace.candidates.shape[-1]
        for (row, column, letter), opacity in drawn.items():
            if step == 0:
                assert opacity == 0.5  # nothing is known yet
                continue
            is_open = trace.path[step - 1, row, column] == UNDECIDED
            share = trace.candidates[step - 1, row, column, int(letter) - 1]
            wanted = 0.35 + 0.65 * share if is_open and share else 0
            assert abs(opacity - wanted) < 0.01
        browser.press("ArrowRight")


def test_all_that_is_alive_can_be_shown_alike(show):
    browser = show(f"#puzzle={NINE}&step=2")
    assert len(set(marks(browser).values())) > 5
    assert "unlikely candidates" in text(browser, "#shade-words")
    browser.click(*middle(browser, "#shade"))
    assert set(marks(browser).values()) == {0, 1}


def test_guesses_and_what_happened(show):
    trace = TRACES[NINE - 1]
    cells = "[...document.querySelectorAll('[data-guess]')].map((m) => +m.dataset.guess)"
    now = "[...document.querySelectorAll('.now-guess')].map((m) => +m.dataset.guess)"
    browser = show(f"#puzzle={NINE}&step=3")
    assert text(browser, "#event") == trace.events[2]
    assert set(browser.run(cells)) == set(trace.marked[:3])
    assert browser.run(now) == [trace.marked[2]]
    words = text(browser, "#status")
    assert words.startswith(f"round 3 of {len(trace.path)} · ") and "no conflict: 90.0 %" in words
    assert f"{(trace.path[2] == UNDECIDED).sum()} open" in words and "wrong" not in words
    label = browser.run("document.querySelector('#board svg').ariaLabel")
    assert label.startswith("nine, round 3") and label.endswith(trace.events[2])
    browser.press("PageDown")
    assert text(browser, "#event") == "conflict: starts again"
    assert browser.run("document.getElementById('event').className") == "restart"
    assert browser.run(now) == []
    empty = (trace.candidates[RESTART - 1].max(-1) == 0).reshape(-1).nonzero()[0].tolist()
    red = (
        "[...document.querySelectorAll('#board [data-cell]')]"
        ".filter((c) => c.style.fill.includes('wrong')).map((c) => +c.dataset.cell)"
    )
    assert browser.run(red) == empty != []
    browser.press("ArrowRight")
    assert browser.run(cells) == [trace.marked[RESTART]], "a new chain rests on its own guesses"


def test_keys_go_to_restarts(show):
    browser = show(f"#puzzle={NINE}&step=1")
    last = len(TRACES[NINE - 1].path)
    wanted = [("PageDown", RESTART), ("PageDown", last), ("PageUp", RESTART), ("PageUp", 0)]
    for key, step in wanted:
        browser.press(key)
        assert browser.run("location.hash") == f"#puzzle={NINE}&step={step}"
    browser.press("n")
    browser.press("PageDown")
    assert browser.run("location.hash") == f"#puzzle={OLD}&step=0", "it scrolls there, as ever"


def test_ticks_lie_below_the_thumb(show):
    browser = show(f"#puzzle={NINE}&step=3")
    found = browser.run(
        "[...document.querySelectorAll('#ticks line')].map((l) => [+l.dataset.round,"
        " l.getAttribute('class').replace('tick ', ''), l.getBoundingClientRect().left])"
    )
    wanted = [(n, kind) for n, kind in enumerate(kinds(TRACES[NINE - 1]), 1) if kind]
    assert [(n, kind) for n, kind, _ in found] == wanted
    box = browser.run(
        "(({left, width}) => [left, width])"
        "(document.getElementById('slider').getBoundingClientRect())"
    )
    for number, _, left in found:
        thumb = box[0] + 8 + (box[1] - 16) * number / len(TRACES[NINE - 1].path)
        assert abs(left - thumb) < 2
    assert browser.run("document.querySelectorAll('#curve .restart-line').length") == 1


def test_a_cell_tells_its_candidates(show):
    trace = TRACES[NINE - 1]
    browser = show(f"#puzzle={NINE}&step=3")

    def words(cell):
        x, y = middle(browser, f"#board [data-cell='{cell}']")
        browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        return text(browser, "#cell")

    cell = int((trace.path[2] == UNDECIDED).reshape(-1).argmax())
    shares = trace.candidates[2].reshape(81, -1)[cell]
    said = words(cell)
    assert said.startswith(f"row 1, column {cell + 1} · {shares.argmax() + 1} (")
    assert said.count("%") == (shares > 0).sum()
    assert words(trace.marked[0]).endswith("guessed in round 1")
    assert words(0) == "row 1, column 1: 5"


def test_other_puzzles_look_as_ever(show):
    browser = show(f"#puzzle={NINE}&step=3")
    seen = "[...document.querySelectorAll('.of-rounds')].some((e) => !e.hidden)"
    assert browser.run(seen)
    browser.press("n")
    browser.press("ArrowRight")
    assert not browser.run(seen)
    assert text(browser, "#status").startswith("step 1 of 4 · first answer")
    for selector in ("#event", "#ticks"):
        assert browser.run(f"document.querySelector('{selector}').hidden")
    assert not marks(browser)
    assert browser.run("document.getElementById('slider').ariaLabel") == "Supervision step"


def test_marks_fade_unless_motion_is_unwanted(show):
    browser = show(f"#puzzle={NINE}&step=3")
    duration = "getComputedStyle(document.querySelector('.mark')).transitionDuration"
    assert browser.run(duration) == "0.3s"
    calm = {"name": "prefers-reduced-motion", "value": "reduce"}
    browser.call("Emulation.setEmulatedMedia", features=[calm])
    assert browser.run(duration) == "0s"


@pytest.mark.parametrize("puzzle", [FOUR, NINE])
@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_is_wide_enough(show, browser, puzzle, dark):
    browser.window(360, 780, dark=dark, phone=True)
    browser = show(f"#puzzle={puzzle}&step=3")
    browser.window(360, 780, dark=dark, phone=True)
    assert browser.run("document.documentElement.scrollWidth") == 360
    bottom = "document.getElementById('ticks').getBoundingClientRect().bottom"
    assert browser.run(bottom) < 780
    size = "document.querySelector('.mark').getBoundingClientRect().height"
    assert browser.run(size) > 9

"""The page of `trm solve --trace` in a headless Chromium, by mouse, keyboard and finger."""

import json
import time

import numpy as np
import pytest

from tests import chromium, some_traces
from trm_jax.show.trace_page import page

PATH = chromium.find()
pytestmark = pytest.mark.skipif(PATH is None, reason="there is no Chromium on PATH")
TRACES = some_traces.all_kinds()
SUDOKU, MAZE, ARC, UNKNOWN, SHORT, FLEET = range(1, 7)


@pytest.fixture(scope="module")
def browser():
    with chromium.Browser(PATH) as browser:
        yield browser


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "out.html"
    path.write_text(page("Watch <it>", TRACES, "a note"))
    return path.as_uri()


@pytest.fixture
def show(browser, address):
    """Opens the page at a place; afterwards nothing may have been complained of or loaded."""
    browser.complaints.clear()
    browser.requests.clear()
    browser.window(1100, 800)

    def show(fragment=""):
        browser.open("about:blank")
        browser.open(address + fragment)
        return browser

    yield show
    assert not browser.complaints
    asked = {url for url in browser.requests if not url.startswith(("data:", "about:"))}
    assert {url.split("#")[0] for url in asked} == {address}


def expected(puzzle, step):
    """Tokens of a board, as the page spells them."""
    trace = TRACES[puzzle - 1]
    board = trace.path[step - 1] if step else trace.question
    width = 1 if len(trace.board.tokens) <= 36 else 2
    return "".join(
        np.base_repr(token, 36).lower().zfill(width) for token in board.reshape(-1).tolist()
    )


def place(browser):
    """Number of the puzzle and the step, by the address; they are what is seen, too."""
    asked = browser.run("location.hash").removeprefix("#").split("&")
    puzzle, step = (int(part.split("=")[1]) for part in asked)
    assert browser.run("document.querySelector('#board svg').dataset.tokens") == expected(
        puzzle, step
    )
    assert int(browser.run("document.getElementById('slider').value")) == step
    words = browser.run("document.getElementById('status').textContent")
    assert words.startswith(f"step {step} of " if step else "question")
    assert browser.run("document.getElementById('puzzle').selectedIndex") == puzzle - 1
    return puzzle, step


def digits(browser):
    return browser.run(
        "[...document.querySelectorAll('#board text')].map((t) => t.textContent || '.').join('')"
    )


def colours(browser):
    return browser.run(
        "[...document.querySelectorAll('#board [data-cell]')]"
        ".map((cell) => getComputedStyle(cell).fill)"
    )


def middle(browser, selector, across=0.5):
    """A point of an element, a share of its width from its left side."""
    box = browser.run(
        f"(({{left, top, width, height}}) => [left, top, width, height])"
        f"(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
    )
    return box[0] + across * box[2], box[1] + 0.5 * box[3]


def test_the_page_shows_the_question_first(show):
    browser = show()
    assert place(browser) == (SUDOKU, 0)
    assert digits(browser) == "12..34....43...."
    assert browser.run("document.title") == "Watch <it>"
    assert browser.run("document.querySelector('h1').textContent") == "Watch <it>"
    names = browser.run("[...document.getElementById('puzzle').options].map((o) => o.text)")
    assert names[0] == "puzzle 1 ✓" and names[1] == "puzzle 2 ✗" and names[3] == "unknown, test 1"


def test_the_slider_changes_the_grid(show):
    browser = show("#puzzle=1&step=2")
    before = digits(browser)
    assert before == some_traces.GRIDS[1]
    browser.run(
        "(() => { const slider = document.getElementById('slider'); slider.value = 3;"
        "slider.dispatchEvent(new Event('input')); })()"
    )
    assert place(browser) == (SUDOKU, 3) and digits(browser) == some_traces.GRIDS[2] != before
    browser.click(*middle(browser, "#slider", 0.99))
    assert place(browser) == (SUDOKU, 4)
    browser.click(*middle(browser, "#slider", 0.01))
    assert place(browser) == (SUDOKU, 0)


def test_keys(show):
    browser = show()
    for key, where in [
        ("ArrowLeft", (1, 0)),
        ("ArrowRight", (1, 1)),
        ("ArrowRight", (1, 2)),
        ("ArrowLeft", (1, 1)),
        ("End", (1, 4)),
        ("ArrowRight", (1, 4)),
        ("n", (2, 0)),
        ("ArrowDown", (3, 0)),
        ("p", (2, 0)),
        ("ArrowUp", (1, 0)),
        ("p", (1, 0)),
        ("End", (1, 4)),
        ("Home", (1, 0)),
    ]:
        browser.press(key)
        assert place(browser) == where, key


def test_keys_on_what_answers_to_them_itself(show):
    browser = show("#puzzle=2&step=1")
    browser.run("document.getElementById('slider').focus()")
    browser.press("ArrowRight")
    assert place(browser) == (MAZE, 2)
    browser.press("ArrowUp")
    assert place(browser) == (SUDOKU, 0)
    browser.run("document.getElementById('on').focus()")
    browser.press(" ", "Space")
    assert place(browser) == (SUDOKU, 1)
    browser.run("document.getElementById('changes').focus()")
    browser.press(" ", "Space")
    assert place(browser) == (SUDOKU, 1)
    assert not browser.run("document.getElementById('changes').checked")


def wait_until(condition):
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


def playing(browser):
    return browser.run("document.getElementById('play').ariaLabel") == "Pause (space)"


def test_space_plays_to_the_end_and_again(show):
    browser = show()
    browser.run("(document.getElementById('speed').value = '4')")
    browser.press(" ", "Space")
    assert playing(browser)
    wait_until(lambda: not playing(browser))
    assert place(browser) == (SUDOKU, 4)
    browser.press(" ", "Space")
    assert playing(browser)
    browser.press(" ", "Space")
    assert not playing(browser) and place(browser)[1] < 4


def test_buttons(show):
    browser = show()
    for button, where in [
        ("on", (1, 1)),
        ("last", (1, 4)),
        ("back", (1, 3)),
        ("first", (1, 0)),
        ("puzzle-on", (2, 0)),
        ("puzzle-back", (1, 0)),
    ]:
        browser.click(*middle(browser, f"#{button}"))
        assert place(browser) == where, button
    assert browser.run("document.getElementById('back').disabled")
    assert browser.run("document.getElementById('puzzle-back').disabled")
    browser.click(*middle(browser, "#play"))
    assert playing(browser)
    browser.click(*middle(browser, "#play"))
    assert not playing(browser)


@pytest.mark.parametrize(
    ("fragment", "where"),
    [
        ("#puzzle=2&step=3", (2, 3)),
        ("#step=3&puzzle=1", (1, 3)),
        ("#step=2", (1, 2)),
        ("#puzzle=99&step=99", (FLEET, 2)),
        ("#puzzle=-3&step=-1", (1, 0)),
        ("#puzzle=x&step=", (1, 0)),
        ("#nonsense", (1, 0)),
    ],
)
def test_a_link_to_a_moment(show, fragment, where):
    assert place(show(fragment)) == where


def test_another_moment_of_the_open_page(show, browser, address):
    show("#puzzle=1&step=1")
    browser.open(f"{address}#puzzle=3&step=2")
    assert place(browser) == (ARC, 2)


@pytest.mark.parametrize("puzzle", [SUDOKU, MAZE, ARC, FLEET])
def test_changed_cells_are_marked(show, puzzle):
    path = TRACES[puzzle - 1].path
    count = len(path)
    marks = "[...document.querySelectorAll('[data-changed]')].map((m) => +m.dataset.changed)"
    browser = show(f"#puzzle={puzzle}&step=1")
    assert browser.run(marks) == []
    for step in range(2, count + 1):
        browser.press("ArrowRight")
        changed = (path[step - 1] != path[step - 2]).reshape(-1).nonzero()[0].tolist()
        assert browser.run(marks) == changed
        words = browser.run("document.getElementById('status').textContent")
        assert f"{len(changed)} cell{'' if len(changed) == 1 else 's'} changed" in words
    browser.click(*middle(browser, "#changes"))
    assert browser.run(marks) == []


def test_the_curve_has_every_step_and_can_be_clicked(show):
    browser = show()
    dots = "[...document.querySelectorAll('#curve circle')].map((d) => d.getAttribute('class'))"
    assert browser.run(dots) == ["dot right", "dot right", "dot wrong", "dot right"]
    heights = browser.run(
        "[...document.querySelectorAll('#curve circle')].map((d) => +d.cy.baseVal.value)"
    )
    assert heights == sorted(heights, reverse=True)  # its confidence grows
    for step in (3, 1, 4):
        browser.click(*middle(browser, f"#curve circle:nth-of-type({step})"))
        assert place(browser) == (SUDOKU, step)
    now = browser.run("+document.querySelector('#curve .now').getAttribute('x1')")
    assert now == browser.run("+document.querySelectorAll('#curve circle')[3].getAttribute('cx')")


def test_confidence_is_shown_and_can_be_hidden(show):
    """Later cells and steps have more confidence in these traces."""
    cells = "[...document.querySelectorAll('#board [data-cell]')]"
    shade, fade = (f"{cells}.map((c) => +c.style.{kind})" for kind in ("fillOpacity", "opacity"))
    browser = show("#puzzle=1&step=3")
    shades = browser.run(shade)
    assert shades == sorted(shades, reverse=True) and shades[0] > 0.4 > shades[-1] + 0.1
    browser.click(*middle(browser, "#shade"))
    assert set(browser.run(shade)) == {0}
    for key in ("n", "ArrowRight", "ArrowRight"):
        browser.press(key)
    assert set(browser.run(fade)) == {1}
    browser.click(*middle(browser, "#shade"))
    fades = browser.run(fade)
    assert fades == sorted(fades) and fades[0] < 0.5 < fades[-1]
    browser.press("Home")  # a question is no answer
    assert set(browser.run(fade)) == {1}


def test_a_cell_tells_its_story(show):
    browser = show("#puzzle=1&step=3")
    x, y = middle(browser, "#board [data-cell='1']")
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    words = browser.run("document.getElementById('cell').textContent")
    assert words.startswith("row 1, column 2: 2 ·") and "· confidence " in words
    x, y = middle(browser, "#board [data-cell='4']")
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    words = browser.run("document.getElementById('cell').textContent")
    assert words.startswith("row 2, column 1: 3 ·")


def test_arc_has_its_question_and_answer_beside_it(show):
    browser = show(f"#puzzle={ARC}&step=2")
    known = "[...document.querySelectorAll('#known div')].map((d) => d.textContent)"
    assert browser.run(known) == ["question", "answer"]
    cells = (
        "[...document.querySelectorAll('#known div')]"
        ".map((d) => d.querySelectorAll('[data-cell]').length)"
    )
    assert browser.run(cells) == [6, 4]
    frame = (
        "['width', 'height'].map((a) => +document.querySelector('#board .frame').getAttribute(a))"
    )
    assert browser.run(frame) == [3, 2]  # its grid has 2 rows of 3
    assert "2×3" in browser.run("document.getElementById('status').textContent")
    seen = colours(browser)
    assert seen[0] == "rgb(46, 204, 64)" and seen[4] == "rgb(255, 220, 0)"
    browser.press("ArrowRight")
    assert "no grid" in browser.run("document.getElementById('status').textContent")
    browser.press("n")
    assert browser.run(known) == ["question"]
    assert browser.run("document.querySelector('.judged').hidden")


@pytest.mark.parametrize("dark", [False, True])
def test_light_and_dark(show, browser, dark):
    show()
    browser.window(1100, 800, dark=dark)
    brightness = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    show()
    assert (sum(browser.run(brightness)) < 200) == dark
    browser.click(*middle(browser, "#theme"))
    assert (sum(browser.run(brightness)) < 200) != dark


@pytest.mark.parametrize("dark", [False, True])
def test_cells_have_the_colours_of_the_theme(show, browser, dark):
    browser.window(1100, 800, dark=dark)
    show(f"#puzzle={FLEET}&step=1")
    water = {True: "rgb(16, 32, 48)", False: "rgb(43, 108, 176)"}
    ink = {True: "rgb(255, 255, 255)", False: "rgb(29, 31, 36)"}
    assert colours(browser)[2] == water[dark]
    browser.click(*middle(browser, "#theme"))
    assert colours(browser)[2] == water[not dark], "what is shown already is drawn anew"
    letter = "getComputedStyle(document.querySelectorAll('#board text')[0]).fill"
    assert browser.run(letter) == ink[False], "it lies on yellow in both"


def test_a_board_of_somebody_else(show):
    """Letters and colours, a cell that is paper, and a line between two boxes."""
    browser = show(f"#puzzle={FLEET}&step=2")
    letters = "[...document.querySelectorAll('#board text')].map((t) => t.textContent)"
    assert browser.run(letters) == ["H", "H", "", "", "", "", "", ""]
    assert browser.run("document.querySelector('#board .thick').getAttribute('d')") == "M0 2H2"
    x, y = middle(browser, "#board [data-cell='3']")
    browser.call("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
    words = browser.run("document.getElementById('cell').textContent")
    assert words.startswith("row 2, column 2: kind 38 ·")
    assert words.endswith("steps 1: note, 2: kind 38")
    browser.press("ArrowLeft")
    assert browser.run("document.querySelectorAll('#board text')[3].textContent") == "n"


@pytest.mark.parametrize("puzzle", [SUDOKU, MAZE, ARC, FLEET])
@pytest.mark.parametrize("width", [320, 390])
def test_a_phone_is_wide_enough(show, browser, width, puzzle):
    browser.window(width, 844, phone=True)
    show(f"#puzzle={puzzle}&step=2")
    assert browser.run("document.documentElement.scrollWidth") == width
    boxes = browser.run(
        "[...document.querySelectorAll('button, select, #board svg, #slider, #curve svg')]"
        ".map((e) => e.getBoundingClientRect())"
        ".map(({left, right, height}) => [left, right, height])"
    )
    for left, right, height in boxes:
        assert left >= 0 and right <= width and height >= 27
    # what is watched and what it is played with are seen together
    assert browser.run("document.getElementById('slider').getBoundingClientRect().bottom") < 844


def test_everything_has_a_name_for_screen_readers(show):
    browser = show("#puzzle=2&step=2")
    nodes = browser.call("Accessibility.getFullAXTree")["nodes"]
    named = {"button": 8, "slider": 1, "combobox": 2, "checkbox": 2, "image": 2}
    for role, least in named.items():
        found = [
            node.get("name", {}).get("value", "")
            for node in nodes
            if node.get("role", {}).get("value") == role and not node["ignored"]
        ]
        assert len(found) >= least and all(found), (role, found)
    label = browser.run("document.querySelector('#board svg').ariaLabel")
    assert label == "puzzle 2, step 2 of 4, 1 cell changed, confidence 36.7 %, wrong"


def test_mistakes_of_a_page_would_be_seen(browser, tmp_path):
    """The watch over the page's errors is itself awake."""
    path = tmp_path / "bad.html"
    path.write_text("<script>nothing.there()</script><img src='nowhere.png'>")
    browser.complaints.clear()
    browser.open(path.as_uri())
    assert len(browser.complaints) == 2
    browser.complaints.clear()

"""The page writes the puzzles of every task: symbols of several characters, sizes, signs."""

import json

import pytest

from tests.server.fakes import TracedProgram
from tests.server.served import Served
from tests.server.test_page_browser import forget_refusals, text, until
from trm_jax.server.app import Service
from trm_jax.server.bounds import Bounds
from trm_jax.server.engine import Engine
from trm_jax.server.meters import Meters
from trm_jax.server.puzzle_facts import puzzle_facts
from trm_jax.tasks.futoshiki.task import FutoshikiSettings, FutoshikiTask
from trm_jax.tasks.grid.vocabulary import Form
from trm_jax.tasks.task import task_of

NUMBERS = Form(4, 4, tuple(map(str, range(1, 13))), blank="0", open=("0",))
CANVAS = Form(3, 3, ("A", "B"), canvas=True)
FUTOSHIKI = {"task": "futoshiki"} | FutoshikiTask().shapes(FutoshikiSettings(side=3))
CELLS = "[...document.querySelectorAll('#editor .letter')].map((t) => t.textContent || '.')"
OFFERED = "[...document.querySelectorAll('#symbols button')].map((b) => b.textContent)"


def grid(form):
    return {"task": "grid"} | form.to_dict()


@pytest.fixture
def page(browser):
    """Opens the page of a fake model; afterwards nothing may have been complained of."""
    made = []
    browser.complaints.clear()

    def open_page(shape):
        samples = task_of(shape).random_questions(shape, 5)
        program = TracedProgram(samples.shape[1])
        facts = {"model": "fake", "parameters": 0, "random": True} | puzzle_facts(shape)
        engine = Engine(program, Bounds(seconds=60), Meters(1))
        made.append(Served(Service(engine, shape, facts, samples)))
        made[-1].program = program
        browser.window(1100, 800)
        browser.open(f"{made[-1].url}/")
        until(browser, "!document.getElementById('ask').hidden")
        browser.run("document.getElementById('editor').focus()")
        return browser

    open_page.made = made
    yield open_page
    browser.open("about:blank")
    for each in made:
        each.stop()
    assert not browser.complaints


def click(browser, name):
    browser.run(f"document.getElementById('{name}').click()")


def use(browser, puzzle):
    browser.run(f"document.getElementById('text').value = {json.dumps(puzzle)}")
    click(browser, "use")


def answered(browser):
    until(browser, "/^(Answered|Solved|Not)/.test(document.getElementById('answer').textContent)")
    assert not text(browser, "error")


def test_symbols_of_several_characters_are_typed_pasted_and_solved(page):
    browser = page(grid(NUMBERS))
    assert browser.run(OFFERED) == list(map(str, range(13)))
    for key in (
        "1",
        "2",
        "ArrowRight",
        "1",
        "ArrowRight",
        "7",
        "5",
        "ArrowRight",
        "1",
        "Backspace",
    ):
        browser.press(key)
    assert browser.run(CELLS)[:4] == ["12", "1", "5", "."]
    click(browser, "solve")
    answered(browser)
    assert page.made[0].program.entered[0][:4] == [13, 2, 6, 1]
    use(browser, "11 0 0 0\n0 10 0 0\n0 0 3 0\n0 0 0 12")
    until(browser, f"{CELLS}.join(' ') === '11 . . . . 10 . . . . 3 . . . . 12'")
    click(browser, "random")
    until(browser, f"{CELLS}.join(' ') !== '11 . . . . 10 . . . . 3 . . . . 12'")
    click(browser, "solve")
    answered(browser)


def test_sizes_on_a_canvas_are_changed_pasted_and_solved(page):
    browser = page(grid(CANVAS))
    size = "[...document.querySelector('#editor .frame').attributes]"
    size += ".filter((a) => ['height', 'width'].includes(a.name)).map((a) => Number(a.value))"
    assert browser.run(OFFERED) == ["A", "B", "outside"]
    use(browser, "AB/BA")
    until(browser, f"{size}.join() === '2,2'")
    click(browser, "solve")
    answered(browser)
    assert page.made[0].program.entered[0] == [2, 3, 0, 3, 2, 0, 0, 0, 0]
    browser.press("ArrowDown")
    browser.run("document.querySelector('#symbols button:last-child').click()")
    assert browser.run(f"{size}.join()") == "2,1", "the second row is cut off"
    browser.run("document.getElementById('editor').focus()")
    for key in ("ArrowRight", "ArrowRight", "b", "B"):
        browser.press(key)
    assert browser.run(f"{size}.join()") == "3,2"
    assert browser.run(CELLS)[:6] == ["A", "B", "A", "A", "A", "B"]
    click(browser, "random")
    until(browser, f"{size}.join() === '3,3'")
    click(browser, "solve")
    answered(browser)
    use(browser, "AB/B")
    until(browser, "document.getElementById('error').textContent")
    forget_refusals(browser)


def test_the_empty_board_of_a_futoshiki_is_a_puzzle_and_all_signs_are_offered(page):
    browser = page(FUTOSHIKI)
    signs = ["less than", "greater than", "less than below", "greater than below", "no sign"]
    assert browser.run(OFFERED) == [".", "1", "2", "3", *signs]
    for key in ("2", "ArrowRight", "<", "ArrowRight", "ArrowDown", "v", "Backspace"):
        browser.press(key)
    click(browser, "solve")
    answered(browser)
    sent = page.made[0].program.entered[0]
    assert sent == [3, 5, 1, 9, 1, *[9] * 5, 1, 9, 1, 9, 1, *[9] * 5, 1, 9, 1, 9, 1]
    click(browser, "clear")
    assert text(browser, "where").startswith("row 2, column 3: no sign")

"""The server's page in a headless Chromium: by keyboard, by finger, and what it draws."""

import time

import pytest

from trm_jax.core.symmetries import FIRST_DIGIT

GIVENS, ANSWER = "1.....2..3....4.", "1234342143122143"
TOKENS = "".join(str(int(c) + FIRST_DIGIT - 1) for c in ANSWER)
BOARD = (
    "[...document.querySelectorAll('#editor .letter')].map((t) => t.textContent || '.').join('')"
)


@pytest.fixture
def page(browser, served):
    """Opens the page; afterwards nothing may have been complained of or loaded from elsewhere."""
    browser.complaints.clear()
    browser.requests.clear()

    def open_page(width=1100, **window):
        browser.window(width, 800, **window)
        browser.open("about:blank")
        browser.open(f"{served.url}/")
        until(browser, "!document.getElementById('ask').hidden")
        return browser

    yield open_page
    assert not browser.complaints
    others = [u for u in browser.requests if not u.startswith((served.url, "data:", "about:"))]
    assert not others


def until(browser, true, seconds=30):
    end = time.monotonic() + seconds
    while not browser.run(true):
        assert time.monotonic() < end, true
        time.sleep(0.05)


def text(browser, name):
    return browser.run(f"document.getElementById('{name}').textContent")


def type_puzzle(browser):
    browser.run("document.getElementById('editor').focus()")
    for place, cell in enumerate(GIVENS):
        browser.press("Backspace" if cell == "." else cell)
        if place % 4 < 3:
            browser.press("ArrowRight")
        else:
            browser.press("ArrowDown")
            for _ in range(3):
                browser.press("ArrowLeft")


def solved(browser):
    until(browser, "document.getElementById('answer').textContent.startsWith('Solved')")
    until(browser, f"document.querySelector('#board svg').dataset.tokens === '{TOKENS}'")


def test_a_puzzle_is_typed_solved_and_watched(page):
    browser = page()
    type_puzzle(browser)
    assert browser.run(BOARD) == GIVENS
    assert text(browser, "where") == "row 4, column 1: blank"
    browser.press("Enter")
    solved(browser)
    assert text(browser, "verdict") == "solved"
    assert not browser.run("location.hash"), "the address stays as it is"
    browser.run("document.getElementById('slider').focus()")
    browser.press("Home")
    assert text(browser, "status") == "question"
    browser.press("End")
    assert text(browser, "status").startswith("round ")


@pytest.mark.slow
def test_arrows_in_the_editor_do_not_move_the_steps(page):
    browser = page()
    type_puzzle(browser)
    browser.press("Enter")
    solved(browser)
    until(browser, "document.getElementById('on').disabled")
    before = text(browser, "status")
    browser.press("ArrowLeft")
    browser.press("ArrowUp")
    assert text(browser, "status") == before and text(browser, "where").startswith("row 3")


def test_fingers_choose_cells_and_symbols(page):
    browser = page(390, phone=True)
    middle = "(() => { const b = document.querySelector('#editor [data-cell=\"5\"]')"
    middle += ".getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]; })()"
    x, y = browser.run(middle)
    browser.click(x, y)
    assert text(browser, "where").startswith("row 2, column 2")
    browser.run("document.querySelector('#symbols [data-token=\"4\"]').click()")
    assert browser.run(BOARD)[5] == "3"
    browser.run("document.getElementById('editor').focus()")
    browser.click(x, y)
    assert browser.run(BOARD)[5] == "4"
    assert browser.run("document.documentElement.scrollWidth") <= 390
    heights = "[...document.querySelectorAll('#ask button')].map((b) => b.offsetHeight)"
    assert min(height for height in browser.run(heights) if height) >= 40


def test_text_is_taken_and_nonsense_is_told(page):
    browser = page()
    use = "document.getElementById('text').value = {!r}; document.getElementById('use').click()"
    browser.run(use.format("1 . | . .\n. . | 2 .\n----+----\n. 3 | . .\n. . | 4 ."))
    until(browser, f"{BOARD} === '{GIVENS}'")
    browser.run(use.format("123"))
    until(browser, "document.getElementById('error').textContent.includes('3 cells')")
    browser.run(use.format("12%4" * 4))
    until(browser, "document.getElementById('error').textContent.includes('%')")
    assert browser.run(BOARD) == GIVENS
    browser.run(use.format("11" + "." * 14))
    until(browser, f"{BOARD} === '11{'.' * 14}'")
    assert not text(browser, "error")
    forget_refusals(browser)


def forget_refusals(browser):
    """The browser notes every response of 400."""
    assert all(each.get("source") == "network" for each in browser.complaints)
    browser.complaints.clear()


def test_the_servers_sentence_is_shown(page):
    browser = page()
    browser.run(
        "document.getElementById('text').value = '11..............';"
        "document.getElementById('use').click()"
    )
    until(browser, f"{BOARD} === '11{'.' * 14}'")
    browser.run("document.getElementById('solve').click()")
    until(browser, "document.getElementById('error').textContent")
    assert "contradicts itself" in text(browser, "error")
    assert browser.run("document.querySelector('main').hidden")
    forget_refusals(browser)


def test_random_puzzles_are_drawn_and_cleared(page):
    browser = page(dark=True)
    browser.run("document.getElementById('random').click()")
    until(browser, f"{BOARD} !== '{'.' * 16}'")
    browser.run("document.getElementById('solve').click()")
    until(browser, "document.getElementById('answer').textContent.startsWith('Solved')")
    assert browser.run("document.documentElement.dataset.theme") == "dark"
    browser.run("document.getElementById('clear').click()")
    assert browser.run(BOARD) == "." * 16
    assert browser.run("document.querySelector('main').hidden")
    for key in (" ", "ArrowRight", "n"):
        browser.press(key)  # with nothing to play

"""The answer page in a real Chromium, opened as a file: what is answered is what is saved, and nothing leaves it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from boundarycb.data import CLASSES, pairs, read_answers, write_answer_page

SECTIONS = ("first", "asking", "end")

LATE = """
const read = Storage.prototype.getItem;
Storage.prototype.getItem = function (name) { return window.late ? read.call(this, name) : null; };
"""


class Person:
    """Somebody at the page, who notes what the boxes showed when each answer was given."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.context = browser.new_context(accept_downloads=True, **options)
        self.page = self.context.new_page()
        self.errors: list[str] = []
        self.requests: list[str] = []
        self.noted: list[tuple[list[int], str]] = []
        self.page.on("console", lambda message: self.errors.append(message.text))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())

    def levels(self) -> list[int]:
        """Return what the two boxes show, each of which must be a grey."""
        colours = self.page.eval_on_selector_all(".box", "boxes => boxes.map(box => getComputedStyle(box).backgroundColor)")
        channels = [[int(number) for number in colour[4:-1].split(",")] for colour in colours]
        assert all(red == green == blue for red, green, blue in channels)
        return [red for red, _, _ in channels]

    def answer(self, word: str, key: str | None = None) -> None:
        """Give an answer by its button, or by a key."""
        self.page.wait_for_timeout(170)  # the page takes what comes sooner for a double click
        self.noted.append((self.levels(), word))
        if key is None:
            self.page.click(f"[data-answer={word}]")
        else:
            self.page.keyboard.press(key)

    def section(self) -> str:
        """Return which part of the page is shown."""
        (shown,) = (name for name in SECTIONS if self.page.is_visible(f"#{name}"))
        return shown

    def load_again(self, section: str) -> None:
        """Load the page again, once the browser had time to hand on what the page keeps, and wait for a part of it."""
        self.page.wait_for_timeout(300)
        self.page.reload()
        self.page.wait_for_selector(f"#{section}", timeout=10_000)  # a slow browser tells the page of the rest later
        assert self.section() == section

    def saved(self, path: Path) -> Path:
        """Return the file that the page saves."""
        with self.page.expect_download() as download:
            self.page.click("#save")
        assert download.value.suggested_filename == "answers.csv"
        download.value.save_as(path)
        return path

    def check(self, path: Path) -> None:
        """Check that the file holds what was noted."""
        points, labels = read_answers(path)
        assert points.tolist() == [levels for levels, _ in self.noted]
        assert [CLASSES[label] for label in labels] == [word for _, word in self.noted]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_answer_page(tmp_path / "answers.html", 10)


@pytest.fixture
def person(browser: Any, path: Path) -> Iterator[Person]:
    person = Person(browser, path)
    yield person
    person.context.close()
    assert person.errors == []
    assert {url for url in person.requests if not url.startswith("blob:")} == {path.as_uri()}


def test_ten_answers_by_button_and_key_come_out_as_they_went_in(person: Person, tmp_path: Path) -> None:
    page = person.page
    assert person.section() == "first"
    assert "Is this image more black, white or grey?" in page.inner_text("#first")
    assert "10 answers" in page.inner_text("#first")
    page.click("#start")
    assert page.inner_text("#progress") == "0 of 10"
    assert page.is_disabled("#undo")
    assert page.is_disabled("#save")
    for word, key in (("black", None), ("white", "2"), ("grey", "G"), ("white", None)):
        person.answer(word, key)
    assert page.inner_text("#progress") == "4 of 10"

    ahead = person.levels()
    page.click("#undo")
    assert page.inner_text("#progress") == "3 of 10"
    undone, _ = person.noted.pop()
    assert person.levels() == undone
    person.answer("grey", "3")
    assert person.levels() == ahead  # an image that was seen is not drawn anew

    person.load_again("asking")
    assert page.inner_text("#progress") == "4 of 10"
    assert person.levels() == ahead
    person.check(person.saved(tmp_path / "some.csv"))

    for word, key in (("black", "1"), ("black", "b"), ("white", "w"), ("grey", None), ("black", None), ("grey", "g")):
        assert person.section() == "asking"
        person.answer(word, key)
    assert person.section() == "end"
    assert page.is_visible("#save")
    person.check(person.saved(tmp_path / "all.csv"))
    seconds = np.loadtxt(tmp_path / "all.csv", delimiter=",", skiprows=1, usecols=3)
    assert ((seconds >= 0.15) & (seconds < 60)).all()
    person.load_again("end")


def test_one_may_go_on_and_start_again(browser: Any, tmp_path: Path) -> None:
    person = Person(browser, write_answer_page(tmp_path / "answers.html", 2, seed=4))
    page = person.page
    page.click("#start")
    for word in ("black", "grey"):
        person.answer(word)
    assert [levels for levels, _ in person.noted] == pairs(2, 4).tolist()
    page.click("#on")
    person.answer("white")
    assert page.inner_text("#progress") == "3 answers, 2 asked for"
    person.load_again("asking")
    person.check(person.saved(tmp_path / "three.csv"))
    questions = []

    def refuse(dialog: Any) -> None:
        questions.append(dialog.message)
        dialog.dismiss()

    page.once("dialog", refuse)
    page.click("#again")
    assert questions == ["Start again? This deletes your 3 answers from this browser."]
    assert person.section() == "asking"
    page.once("dialog", lambda dialog: dialog.accept())
    page.click("#again")
    person.load_again("first")
    page.click("#start")
    assert page.inner_text("#progress") == "0 of 2"
    assert person.levels() == pairs(2, 4)[0].tolist()
    assert person.errors == []
    person.context.close()


def test_a_key_held_down_or_with_another_is_no_answer(person: Person) -> None:
    page = person.page
    page.keyboard.press("b")  # nothing is asked yet
    page.click("#start")
    page.wait_for_timeout(170)
    page.keyboard.press("Control+b")
    page.keyboard.press("5")
    assert page.inner_text("#progress") == "0 of 10"
    page.keyboard.down("b")
    for _ in range(3):
        page.wait_for_timeout(170)
        page.keyboard.down("b")
    page.keyboard.up("b")
    assert page.inner_text("#progress") == "1 of 10"
    page.wait_for_timeout(170)
    page.dblclick("[data-answer=grey]")
    assert page.inner_text("#progress") == "2 of 10"
    page.keyboard.press("u")
    page.keyboard.press("u")
    assert page.inner_text("#progress") == "0 of 10"


def test_another_page_knows_nothing_of_it_and_another_tab_everything(person: Person, path: Path, tmp_path: Path) -> None:
    person.page.click("#start")
    person.answer("grey")
    tab, other = person.context.new_page(), person.context.new_page()
    tab.goto(path.as_uri())
    assert tab.inner_text("#progress") == "1 of 10"
    person.answer("black")
    tab.wait_for_function("document.getElementById('progress').textContent === '2 of 10'")
    other.goto(write_answer_page(tmp_path / "other.html", 10).as_uri())
    assert other.is_visible("#first")


def test_a_browser_that_tells_late_what_it_keeps_loses_nothing(person: Person, tmp_path: Path) -> None:
    """Chromium under load now and then shows a page that is loaded again what was kept earlier."""
    page = person.page
    page.click("#start")
    for word in ("black", "grey"):
        person.answer(word)
    page.wait_for_timeout(300)
    page.add_init_script(LATE)
    page.reload()
    assert person.section() == "first"
    page.evaluate("window.late = true; dispatchEvent(new StorageEvent('storage', {key: null}))")
    assert page.inner_text("#progress") == "2 of 10"
    person.check(person.saved(tmp_path / "two.csv"))


def test_answers_that_the_browser_does_not_keep_are_said_to_be_lost(browser: Any, path: Path, tmp_path: Path) -> None:
    person = Person(browser, path)
    person.context.add_init_script("Object.defineProperty(window, 'localStorage', {get() { throw new Error('no'); }});")
    person.page.reload()
    assert "keeps no answers" in person.page.inner_text("#unkept")
    person.page.click("#start")
    person.answer("grey")
    person.check(person.saved(tmp_path / "one.csv"))
    assert person.errors == []
    person.context.close()


def test_levels_are_seen_and_not_told(person: Person) -> None:
    page = person.page
    page.click("#start")
    assert page.inner_text("#image").strip() == ""
    spoken = person.page.locator("#asking").aria_snapshot()
    for words in ('img "Left box"', 'img "Right box"', 'button "Black"', 'button "White"', 'button "Grey"'):
        assert words in spoken
    assert not set("123456789") & set(spoken.replace("of 10", "").replace("[level=1]", ""))
    assert page.get_attribute("#progress", "aria-live") == "polite"


@pytest.mark.parametrize("width", [320, 400, 1280])
def test_it_fits_wide_and_narrow(browser: Any, path: Path, tmp_path: Path, width: int) -> None:
    person = Person(browser, path, viewport={"width": width, "height": 800}, reduced_motion="reduce")
    page = person.page
    for section, click in (("first", "#start"), ("asking", "[data-answer=grey]")):
        assert person.section() == section
        page.screenshot(path=tmp_path / f"{section}-{width}.png")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        page.click(click)
    left, right = (box.bounding_box() for box in page.locator(".box").all())
    assert left["y"] == right["y"]  # side by side
    assert left["width"] == right["width"] == pytest.approx(left["height"], abs=1)
    assert page.evaluate("document.getAnimations().length") == 0
    person.context.close()


def test_text_can_be_read(person: Person) -> None:
    """All text that is no disabled button's has a contrast of 4.5 or more with what is behind it."""
    person.page.click("#start")
    person.answer("grey")
    found = person.page.evaluate(
        """() => [...document.querySelectorAll("h1, p, small, kbd, button:not(:disabled)")].map((part) => {
            const colour = (name, from) => getComputedStyle(from)[name].match(/[0-9.]+/g).map(Number);
            let behind = part;
            while (colour("backgroundColor", behind)[3] === 0) behind = behind.parentElement;
            return [colour("color", part).slice(0, 3), colour("backgroundColor", behind).slice(0, 3)];
        })"""
    )
    assert len(found) > 10
    scaled = np.array(found) / 255
    linear = np.where(scaled <= 0.04045, scaled / 12.92, ((scaled + 0.055) / 1.055) ** 2.4)
    bright = np.sort(linear @ [0.2126, 0.7152, 0.0722], axis=1)
    assert ((bright[:, 1] + 0.05) / (bright[:, 0] + 0.05)).min() >= 4.5


def test_the_policy_stops_what_would_leave_the_page(browser: Any, path: Path) -> None:
    person = Person(browser, path)
    stopped = person.page.evaluate(
        """() => new Promise((resolve) => {
            const rules = [];
            addEventListener("securitypolicyviolation", (event) => {
                rules.push(event.effectiveDirective);
                if (rules.length === 3) resolve(rules.sort());
            });
            new Image().src = "http://127.0.0.1:9/image";
            fetch("http://127.0.0.1:9/fetch").catch(() => {});
            document.body.appendChild(Object.assign(document.createElement("script"), {text: "1"}));
        })"""
    )
    assert stopped == ["connect-src", "img-src", "script-src-elem"]
    person.context.close()

"""Names that are too long, made short by the viewer: what tells them from one another stays."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from viewing import modules

DEEP = "the_encoder_of_the_second_generation.{}.feed_forward_projection"


@pytest.fixture(scope="module")
def ask(browser: Any) -> Iterator[Callable[..., Any]]:
    """Calls a function of a module of the viewer's in a browser: `ask("names.js", "elided", ...)`."""
    call = """async ([file, name, given]) => {
      const got = (await import(`/${file}`))[name](...given);
      return got instanceof Map ? [...got] : got;
    }"""
    with modules(browser) as page:
        yield lambda file, name, *given: page.evaluate(call, [file, name, list(given)])


def short(ask: Callable[..., Any], *names: str) -> list[str]:
    return [found for _, found in ask("names.js", "shortNames", names)]


def test_short_names_stand_as_they_are(ask: Callable[..., Any]) -> None:
    assert short(ask, "0", "layer1", "model.layers.12") == ["0", "layer1", "model.layers.12"]


def test_what_differs_stays_and_what_all_share_goes(ask: Callable[..., Any]) -> None:
    assert short(ask, *(DEEP.format(k) for k in (0, 1, 11))) == ["the_e…0…ection", "the_e…1…ection", "the_e…11…ction"]
    assert short(ask, "model.decoder.layers.3.mlp.fc1", "model.decoder.layers.4.mlp.fc1", "head") == [
        "model…3…lp.fc1",
        "model…4…lp.fc1",
        "head",
    ]


def test_one_long_name_loses_the_middle_of_its_longest_parts(ask: Callable[..., Any]) -> None:
    (found,) = short(ask, DEEP.format(7))
    assert len(found) == 14
    assert ".7." in found
    assert short(ask, "averylongnamewithoutanyparts") == ["averylo…yparts"]


def test_no_two_become_alike(ask: Callable[..., Any]) -> None:
    """Names whose own parts are long, and differ in one letter in the middle."""
    names = [f"{'a' * 30}{k}{'b' * 30}" for k in range(4)] + [DEEP.format(k) for k in range(30)]
    found = short(ask, *names)
    assert len(set(found)) == len(names)
    assert all(len(name) < 70 for name in found)
    assert short(ask, *["x.block.conv", "x.block.conv.norm.scale", "x.block.conv.norm.shift"])[0] == "x.block.conv"


def test_a_name_that_begins_as_another_one_whole_is_told_from_it(ask: Callable[..., Any]) -> None:
    names = ["network.encoder.block", "network.encoder.block.1", "network.encoder.block.1.block"]
    assert len(set(short(ask, *names))) == 3


@pytest.mark.parametrize(
    ("words", "most", "found"), [("abc", 3, "abc"), ("abcdef", 4, "ab…f"), ("äöü😀x", 4, "äö…x"), ("abc", 1, "…")]
)
def test_the_middle_goes(ask: Callable[..., Any], words: str, most: int, found: str) -> None:
    assert ask("names.js", "elided", words, most) == found

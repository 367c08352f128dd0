"""What the viewer calls layers and how it colours them: what tells them from one another stays."""

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


def colours(ask: Callable[..., Any], *stacks: list[str]) -> dict[str, int]:
    """Return the colours of runs' layers, on a ramp from black to white; five that are few are red."""
    theme = {"few": ["red"] * 5, "ramp": [[0, 0, 0], [255, 255, 255]]}
    found = dict(ask("palette.js", "layerColours", list(stacks), theme))
    return {name: 0 if told == "red" else int(told[4:].split(",")[0]) + 1 for name, told in found.items()}


def test_few_layers_have_colours_of_their_own(ask: Callable[..., Any]) -> None:
    assert colours(ask, ["0", "2"], ["0", "2", "4"], ["a", "b"]) == dict.fromkeys(["0", "2", "4", "a", "b"], 0)


def test_each_run_goes_from_end_to_end_of_the_ramp(ask: Callable[..., Any]) -> None:
    """Also beside one of many other layers."""
    deep = [f"layer{k}" for k in range(8)]
    found = colours(ask, ["0", "2", "4"], ["0", "2", "4"], deep)
    assert [found[name] for name in ("0", "2", "4")] == [1, 129, 256]
    assert [found[name] for name in deep] == sorted(found[name] for name in deep)
    assert (found["layer0"], found["layer7"]) == (1, 256)


def test_a_layer_has_one_colour_in_all_runs(ask: Callable[..., Any]) -> None:
    deep = [str(k) for k in range(6)]
    assert colours(ask, deep, ["0", "1", "2"])["2"] == 180  # 0.7 of the ramp, after 0.4 and 1


def test_layers_of_a_run_never_share_a_colour(ask: Callable[..., Any]) -> None:
    names = [str(k) for k in range(6)]
    assert len(set(colours(ask, names, names[::-1]).values())) == 6


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

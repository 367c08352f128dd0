"""The papers' data sets: the bottle, two grey levels by rules, and by answers."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image as Pillow

from boundarycb.cli import main
from boundarycb.data import (
    CLASSES,
    bottle,
    every_pair,
    pairs,
    pixels_of,
    read_answers,
    read_image,
    s1,
    s2,
    s3,
    s3_limit,
    simulated_answers,
    write_answer_page,
)

WHITE, BLACK, GREY = range(3)
RULES = (s1, s2, s3)
LEVELS = arrays(np.float32, st.tuples(st.integers(0, 40), st.just(2)), elements=st.integers(0, 255).map(float))
HALF = st.integers(0, 255)


def test_the_bottle_is_a_bottle() -> None:
    image = bottle()
    assert image.shape == (200, 200)
    assert set(np.unique(image).tolist()) == {0, 1}
    assert np.array_equal(image, image[:, ::-1])  # left is right
    widths = (image == 0).sum(axis=1)
    assert widths[5] == 0  # white above it
    assert widths[40] == widths[50] == 36  # the neck
    assert (np.diff(widths[65:100]) >= 0).all()  # the shoulders widen
    assert widths[180] == 112  # the body
    assert image[140, 100] == 1  # the diamond
    assert image[140, 60] == 0


def test_pixels_are_their_centres_and_y_grows_upwards() -> None:
    points, labels = pixels_of(np.array([[0, 1], [2, 3]], dtype=np.uint8))
    assert points.tolist() == [[-0.5, 0.5], [0.5, 0.5], [-0.5, -0.5], [0.5, -0.5]]
    assert labels.tolist() == [0, 1, 2, 3]
    assert pixels_of(np.zeros((1, 4), dtype=np.uint8))[0][:, 0].tolist() == [-0.75, -0.25, 0.25, 0.75]
    assert pixels_of(np.zeros((4, 1), dtype=np.uint8), low=0)[0][:, 1].tolist() == [0.875, 0.625, 0.375, 0.125]


@pytest.mark.parametrize("channels", [None, 3, 4])
def test_an_image_file_becomes_black_and_white(tmp_path: Path, channels: int | None) -> None:
    grey = np.repeat(bottle(50) * 200 + 20, 4, axis=0).repeat(4, axis=1).astype(np.uint8)
    pixels = grey if channels is None else np.repeat(grey[..., None], channels, axis=2)
    if channels == 4:
        pixels[..., 3] = 255
    iio.imwrite(tmp_path / "x.png", pixels)
    image = read_image(tmp_path / "x.png", 50)
    assert (image == bottle(50)).mean() > 0.98


def _half(kind: str) -> Pillow.Image:
    """Return a picture whose left half is dark, of a kind that a file may have."""
    dark = np.arange(40)[None, :].repeat(40, axis=0) < 20
    plain = Pillow.fromarray(np.where(dark, 10, 240).astype(np.uint8))
    if kind == "16 bits":
        return Pillow.fromarray(np.where(dark, 20_000, 60_000).astype(np.uint16))
    if kind == "16 bits on nothing":
        picture = Pillow.fromarray(np.where(dark, 500, 2570).astype(np.uint16))
        picture.info["transparency"] = 2570
        return picture
    if kind == "black on nothing":
        return Pillow.fromarray(np.stack([np.zeros_like(dark)] * 3 + [dark * 255], axis=-1).astype(np.uint8))
    if kind == "palette with a transparent colour":
        picture = Pillow.fromarray((~dark).astype(np.uint8), mode="P")
        picture.putpalette([0, 0, 0, 1, 1, 1])
        picture.info["transparency"] = 1
        return picture
    return plain.convert({"1 bit": "1", "cyan, magenta, yellow, black": "CMYK"}.get(kind, kind))


@pytest.mark.parametrize(
    ("kind", "ending"),
    [
        *(
            (kind, "png")
            for kind in (
                "1 bit",
                "16 bits",
                "16 bits on nothing",
                "black on nothing",
                "palette with a transparent colour",
                "LA",
                "P",
            )
        ),
        ("cyan, magenta, yellow, black", "tif"),
    ],
)
def test_whatever_kind_of_file_it_is(kind: str, ending: str, tmp_path: Path) -> None:
    picture = _half(kind)
    picture.save(tmp_path / f"x.{ending}", **{key: value for key, value in picture.info.items() if key == "transparency"})
    image = read_image(tmp_path / f"x.{ending}", 20)
    assert image[:, :9].max() == 0
    assert image[:, 11:].min() == 1


@pytest.mark.parametrize("dtype", [np.float32, np.int32])
def test_numbers_without_a_known_white_are_refused(dtype: Any, tmp_path: Path) -> None:
    Pillow.fromarray(np.full((4, 4), 200, dtype)).save(tmp_path / "x.tif")
    with pytest.raises(ValueError, match="`path` must be a picture of 8 or 16 bits a channel, got [FI] from"):
        read_image(tmp_path / "x.tif")


def test_a_moving_picture_is_refused(tmp_path: Path) -> None:
    iio.imwrite(tmp_path / "x.gif", np.zeros((3, 9, 9, 3), np.uint8) + np.arange(3, dtype=np.uint8)[:, None, None, None] * 90)
    with pytest.raises(ValueError, match="`path` must be a still picture"):
        read_image(tmp_path / "x.gif")


# ------------------------------------------------------------------------------------------------------ white, black or grey


def counts(labels: Any) -> list[int]:
    """Return how many are white, black and grey."""
    return [int((labels == label).sum()) for label in range(3)]


def test_classes_are_in_the_order_of_their_labels() -> None:
    assert CLASSES == ("white", "black", "grey")
    labels = s1([[0, 0], [255, 255], [100, 150]])
    assert [CLASSES[label] for label in labels] == ["white", "black", "grey"]
    assert labels.dtype == np.int64


@pytest.mark.parametrize(
    ("point", "n", "one", "two"),
    [
        ((0, 203), 51, WHITE, WHITE),
        ((203, 0), 51, WHITE, GREY),
        ((0, 204), 51, GREY, GREY),  # on the line
        ((0, 203.5), 51, WHITE, WHITE),
        ((101, 102), 51, WHITE, WHITE),
        ((101, 101), 51, WHITE, GREY),  # on the diagonal
        ((153, 153), 51, GREY, GREY),  # on the line
        ((154, 153), 51, BLACK, BLACK),
        ((153, 154), 51, BLACK, GREY),
        ((154, 154), 51, BLACK, GREY),  # on the diagonal
        ((255, 255), 51, BLACK, GREY),
        ((0, 0), 51, WHITE, GREY),
        ((127, 128), 0, GREY, GREY),  # on the line
        ((127, 127.5), 0, WHITE, WHITE),
        ((128.5, 127), 0, BLACK, BLACK),
        ((0, 0), 255, GREY, GREY),
        ((255, 255), 255, GREY, GREY),
    ],
)
def test_points_on_and_off_the_lines(point: tuple[float, float], n: float, one: int, two: int) -> None:
    assert s1([point], n).tolist() == [one]
    assert s2([point], n).tolist() == [two]


def test_as_many_whole_pairs_have_each_label_as_counted_by_hand() -> None:
    points = every_pair()
    assert points.shape == (256 * 256, 2)
    assert points.dtype == np.float32
    assert len(np.unique(points, axis=0)) == 256 * 256
    # Sums from 0 to 203 come about in 1, 2, ..., 204 ways; so do those from 510 down to 307.
    one = 204 * 205 // 2
    assert counts(s1(points)) == [one, one, 65536 - 2 * one]
    # 102 of each lie on the diagonal, and half of the rest on either side of it.
    half = (one - 102) // 2
    assert counts(s2(points)) == [half, half, 65536 - 2 * half]
    for labels, exact in ((s1(points), [0.32, 0.32, 0.36]), (s2(points), [0.16, 0.16, 0.68])):
        assert np.allclose(np.array(counts(labels)) / 65536, exact, atol=0.003)  # whole pairs on the lines are grey


def test_the_areas_are_those_of_the_triangles() -> None:
    # Midpoints of a grid of 1,020 a side, four to a level: each line passes through cells only along their diagonals.
    x = (np.arange(1020) + 0.5) / 4
    points = np.stack(np.meshgrid(x, x), axis=-1).reshape(-1, 2)
    for rule, exact in ((s1, (0.32, 0.32, 0.36)), (s2, (0.16, 0.16, 0.68))):
        assert np.allclose(np.array(counts(rule(points))) / len(points), exact, atol=1e-3)
    for n in (0, 51, 100, 255):
        assert (s1(points, n) == GREY).mean() == pytest.approx(1 - ((255 - n) / 255) ** 2, abs=2e-3)


def test_every_third_is_grey_by_its_place_alone() -> None:
    points = np.array([[0, 0]] * 4 + [[255, 255]] * 4 + [[100, 150]] * 2)
    assert s3(points).tolist() == [0, 0, 2, 0, 1, 2, 1, 1, 2, 2]
    assert s3(points[1:]).tolist() == [0, 0, 2, 1, 1, 2, 1, 2, 2]


def test_the_limit_of_s3_is_what_s1_gets() -> None:
    assert s3_limit() == pytest.approx(2 / 3 + (1 - 0.64) / 3, abs=1e-15)
    assert round(s3_limit(), 5) == 0.78667
    assert s3_limit(0) == pytest.approx(2 / 3)
    assert s3_limit(255) == 1
    points = np.random.default_rng(0).uniform(0, 255, (300_000, 2))
    labels = s3(points)
    assert (s1(points) == labels).mean() == pytest.approx(s3_limit(), abs=0.003)
    # No class is right more often at a point: in cells that no line crosses, S1's class is the most frequent label.
    cells = (points // 51 @ [5, 1]).astype(int)
    for cell, expected in ((0, WHITE), (24, BLACK), (12, GREY)):
        assert np.bincount(labels[cells == cell]).argmax() == expected
    assert round(2 / 3 + (s1(every_pair()) == GREY).mean() / 3, 5) == 0.78729  # of whole pairs, as the docstring has it


def test_in_the_order_of_all_pairs_s3_is_a_pattern() -> None:
    points = every_pair()
    third = points.sum(axis=1) % 3 == 2
    assert np.array_equal(s3(points), np.where(third, GREY, s1(points)))


@given(LEVELS, HALF)
def test_s2_says_less_than_s1(points: Any, n: int) -> None:
    one, two = s1(points, n), s2(points, n)
    assert (one[two != GREY] == two[two != GREY]).all()
    assert (two[points[:, 0] == points[:, 1]] == GREY).all()


@given(LEVELS, HALF)
def test_s1_does_not_mind_which_box_is_left_and_swaps_under_a_negative(points: Any, n: int) -> None:
    labels = s1(points, n)
    assert np.array_equal(s1(points[:, ::-1], n), labels)
    assert np.array_equal(s1(255 - points, n), np.array([BLACK, WHITE, GREY])[labels])
    assert np.array_equal(s2(255 - points, n), np.array([BLACK, WHITE, GREY])[s2(points, n)])


@given(LEVELS)
def test_without_a_band_grey_is_the_line_alone(points: Any) -> None:
    assert np.array_equal(s1(points, 0) == GREY, points.sum(axis=1) == 255)


@given(LEVELS, HALF, HALF)
def test_a_wider_band_makes_more_grey(points: Any, one: int, other: int) -> None:
    narrow, wide = min(one, other), max(one, other)
    for rule in RULES:
        assert not ((rule(points, narrow) == GREY) & (rule(points, wide) != GREY)).any()


def test_points_are_left_as_they_were() -> None:
    points = pairs(50)
    before = points.copy()
    for rule in RULES:
        assert rule(points).shape == (50,)
    assert np.array_equal(points, before)
    assert s3(np.empty((0, 2))).tolist() == []


@pytest.mark.parametrize("rule", [*RULES, simulated_answers])
def test_what_is_no_pair_is_refused(rule: Any) -> None:
    with pytest.raises(ValueError, match=r"`points` must be pairs of levels from 0 to 255, of shape \(k, 2\), got shape \(3,\)"):
        rule([1, 2, 3])
    with pytest.raises(ValueError, match=r"got shape \(1, 3\)"):
        rule([[1, 2, 3]])
    with pytest.raises(ValueError, match=r"`points` must be finite, got \[1.0, nan\]; leave such pairs out"):
        rule([[0, 0], [1, np.nan]])


@pytest.mark.parametrize("n", [-1, 255.5, float("nan")])
def test_a_band_that_makes_no_sense_is_refused(n: float) -> None:
    for rule in RULES:
        with pytest.raises(ValueError, match=r"`n` must be from 0 to 255 \(all is grey\), got"):
            rule([[0, 0]], n)
    with pytest.raises(ValueError, match="`n` must be"):
        s3_limit(n)


def test_pairs_are_whole_and_evenly_spread() -> None:
    points = pairs(65536, 1)
    assert points.dtype == np.float32
    assert np.array_equal(points, points.round())
    often = np.bincount(points.reshape(-1).astype(int))
    assert len(often) == 256
    assert abs(often - 512).max() < 6 * np.sqrt(512)
    assert np.array_equal(pairs(9, 1), pairs(9, 1))
    assert not np.array_equal(pairs(9, 1), pairs(9, 2))
    with pytest.raises(ValueError, match="`count` must be 1 or more, got 0"):
        pairs(0)
    with pytest.raises(ValueError, match="`seed` must be 0 or more, got -1"):
        pairs(1, -1)


# ------------------------------------------------------------------------------------------------------------------- answers


def written(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_answers_are_read_in_their_order(tmp_path: Path) -> None:
    points, labels = read_answers(
        written(tmp_path / "a.csv", "x1,x2,answer,seconds\n0,255,grey,1.250\n3,4,black,0.7\n255,255,white,2\n")
    )
    assert points.tolist() == [[0, 255], [3, 4], [255, 255]]
    assert labels.tolist() == [GREY, BLACK, WHITE]
    assert points.dtype == np.float32
    assert labels.dtype == np.int64


@pytest.mark.parametrize(
    "text",
    [
        "\ufeffx1,x2,answer\r\n1,2,grey\r\n3,4,black\r\n",
        "\n\nX1 , x2,  Answer\n\n 1, 2 ,GREY\n   \n,,\n3,4, Black",
        "who,answer,seconds,x2,x1\nA. B.,gray,1,2,1\n,black,,4.0,3,and more\n",
        'x1,x2,answer\n"1","2","grey"\n3,4,black\n',
    ],
    ids=["byte order mark, CRLF", "spaces, capitals, blank lines", "other columns", "quoted"],
)
def test_what_a_spreadsheet_makes_of_the_file_is_no_matter(tmp_path: Path, text: str) -> None:
    points, labels = read_answers(written(tmp_path / "a.csv", text))
    assert points.tolist() == [[1, 2], [3, 4]]
    assert labels.tolist() == [GREY, BLACK]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "`path` must hold an answer or more, got an empty file, PATH; save it anew"),
        ("\n \n", "got an empty file"),
        ("x1,x2,answer\n", "`path` must hold an answer or more, got none in PATH; save it anew"),
        (
            "x1,answer\n1,grey\n",
            "The first line of PATH must name the columns x1, x2 and answer, separated by commas; it lacks x2, got 'x1,answer'",
        ),
        ("x1;x2;answer\n", "it lacks x1, x2, answer, got 'x1;x2;answer'"),
        (
            "x1,x2,answer\n1,2,grey\n1,256,grey\n",
            "`x2` must be a number from 0 to 255, got '256' in line 3 of PATH; mend that line",
        ),
        ("x1,x2,answer\n\n-1,2,grey\n", "`x1` must be a number from 0 to 255, got '-1' in line 3"),
        ("x1,x2,answer\nnan,2,grey\n", "`x1` must be a number from 0 to 255, got 'nan' in line 2"),
        ("x1,x2,answer\none,2,grey\n", "`x1` must be a number from 0 to 255, got 'one' in line 2"),
        ("x1,x2,answer\n1,2\n", "`answer` must be white, black or grey, got '' in line 2"),
        ("x1,x2,answer\n1,2,blue\n", "`answer` must be white, black or grey, got 'blue' in line 2"),
        ("x1,x2,answer\n".encode("utf-16"), "`path` must be a CSV file in UTF-8, got PATH"),
    ],
)
def test_a_file_that_cannot_be_read_says_where(tmp_path: Path, text: str | bytes, words: str) -> None:
    path = written(tmp_path / "a.csv", text)
    with pytest.raises(ValueError, match=re.escape(words.replace("PATH", str(path)))):
        read_answers(path)


def test_a_simulated_person_says_white_only_of_what_is_white() -> None:
    points = every_pair()
    labels = simulated_answers(points)
    assert points[labels == WHITE].min() >= 243
    assert (labels[(points >= 255).all(axis=1)] == WHITE).all()
    assert points[labels == BLACK].mean(axis=1).max() < 125
    assert (labels[points.mean(axis=1) < 45] == BLACK).all()
    assert np.allclose(np.array(counts(labels)) / len(labels), [0.0004, 0.224, 0.775], atol=[0.0003, 0.005, 0.005])
    assert np.array_equal(simulated_answers(points, 3), simulated_answers(points, 3))
    assert not np.array_equal(simulated_answers(points, 3), simulated_answers(points, 4))
    # It is a person's hesitation, and none of the points' own bits.
    drawn = pairs(2000, 5)
    near = abs(drawn.mean(axis=1) - 85) < 3
    assert 0.2 < (simulated_answers(drawn, 5)[near] == BLACK).mean() < 0.8


# ------------------------------------------------------------------------------------------------------------------ the page


def settings_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="settings">(.*?)</script>', page)
    assert found is not None
    settings: dict[str, Any] = json.loads(found[1])
    return settings


def test_the_page_allows_its_own_script_and_style_and_nothing_else(tmp_path: Path) -> None:
    path = write_answer_page(tmp_path / "answers.html")
    assert path == tmp_path / "answers.html"
    page = path.read_bytes().decode()
    policy = re.search(r'http-equiv="Content-Security-Policy" content="(.*?)"', page)
    assert policy is not None
    rules = dict(rule.split(" ", 1) for rule in policy[1].split("; "))
    for tag in ("script", "style"):
        (inside,) = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert rules.pop(f"{tag}-src") == f"'sha256-{base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()}'"
    assert rules == {"default-src": "'none'", "base-uri": "'none'", "form-action": "'none'"}
    assert not re.search(r"https?:|\bsrc=|\bstyle=|\bon[a-z]+=|{{|\r", page)


def test_a_seed_gives_the_same_images_and_each_page_its_own_memory(tmp_path: Path) -> None:
    one, other, free = (
        settings_of(write_answer_page(tmp_path / f"{number}.html", 7, seed).read_text()) for number, seed in enumerate((3, 3, None))
    )
    assert one["count"] == 7
    assert one["pairs"] == other["pairs"] == pairs(7, 3).tolist()
    assert free["pairs"] == []
    assert len({one["id"], other["id"], free["id"]}) == 3


def test_a_page_that_is_there_is_kept(tmp_path: Path) -> None:
    path = written(tmp_path / "answers.html", "mine")
    with pytest.raises(
        FileExistsError, match="`path` is there already, got .*answers.html; take another name or give `overwrite=True`"
    ):
        write_answer_page(path)
    assert path.read_text() == "mine"
    write_answer_page(str(path), overwrite=True)
    assert "mine" not in path.read_text()


def test_pages_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"`path` must end in .html, got .*answers.csv"):
        write_answer_page(tmp_path / "answers.csv")
    with pytest.raises(ValueError, match="`count` must be 1 or more, got 0"):
        write_answer_page(tmp_path / "answers.html", 0)
    with pytest.raises(ValueError, match="`seed` must be 0 or more, got -2"):
        write_answer_page(tmp_path / "answers.html", seed=-2)
    assert list(tmp_path.iterdir()) == []


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "answers.html"
    command = ["answers", "-o", str(path), "--count", "5", "--seed", "2"]
    assert main(command) == 0
    assert capsys.readouterr().out.startswith(f"{path}: open it in a browser")
    assert settings_of(path.read_text())["pairs"] == pairs(5, 2).tolist()
    assert main(command) == 1
    error = capsys.readouterr().err
    assert error == f"boundarycb answers: `--output` is there already, got {path}; take another name or give `--overwrite`.\n"
    assert main([*command, "--overwrite"]) == 0
    assert main(["answers", "-o", str(tmp_path / "x.html"), "--count", "0"]) == 1
    assert "`--count` must be 1 or more, got 0." in capsys.readouterr().err

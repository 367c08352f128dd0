"""The pixel probe's example, cut short, and the files that it reads; its full figures are a slow test."""

from __future__ import annotations

import gzip
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pixel_probe
import pytest
import torch
from idx import find_idx, read_idx
from PIL import Image
from sklearn.datasets import load_digits

CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx(numbers: Any) -> bytes:
    """Return numbers as an IDX file, by hand."""
    header = bytes([0, 0, CODES[numbers.dtype.str[1:]], numbers.ndim]) + b"".join(struct.pack(">I", side) for side in numbers.shape)
    body: bytes = numbers.astype(numbers.dtype.newbyteorder(">")).tobytes()
    return header + body


@pytest.fixture(autouse=True)
def _threads() -> Any:
    """The example sets how many threads there are."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def main(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["pixel_probe.py", *arguments])
    pixel_probe.main()


# ------------------------------------------------------------------------------------------------------------------ files


@pytest.mark.parametrize("kind", sorted(CODES))
@pytest.mark.parametrize("shape", [(5,), (2, 3, 4), (0, 28, 28)])
def test_idx_files_are_read_as_they_were_written(tmp_path: Path, kind: str, shape: tuple[int, ...]) -> None:
    numbers = (300 * np.random.default_rng(0).normal(size=shape)).astype(np.int64).astype(kind)
    (tmp_path / "plain-idx3-ubyte").write_bytes(idx(numbers))
    (tmp_path / "packed.gz").write_bytes(gzip.compress(idx(numbers)))
    for name in ("plain-idx3-ubyte", "packed.gz"):
        read = read_idx(tmp_path / name)
        assert read.dtype == numbers.dtype
        assert np.array_equal(read, numbers)
        assert read.flags.writeable


def test_an_idx_file_byte_by_byte(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3, 1, 2, 3, 4, 5, 255]))
    assert read_idx(tmp_path / "x").tolist() == [[1, 2, 3], [4, 5, 255]]


@pytest.mark.parametrize("spelling", ["train-images-idx3-ubyte", "train-images.idx3-ubyte"])
@pytest.mark.parametrize("end", ["", ".gz"])
def test_files_are_found_under_all_their_names(tmp_path: Path, spelling: str, end: str) -> None:
    (tmp_path / (spelling + end)).write_bytes(b"")
    assert find_idx(tmp_path, "train-images", 3).name == spelling + end
    with pytest.raises(
        FileNotFoundError, match=r"has none of train-labels-idx1-ubyte, train-labels-idx1-ubyte.gz, train-labels.idx1"
    ):
        find_idx(tmp_path, "train-labels", 1)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is no IDX file: it begins with b''"),
        (b"\x89PNG and so on", "is no IDX file: it begins with b'.x89PNG', and such a file with two zeros, a kind and its axes"),
        (bytes([0, 0, 7, 1, 0, 0, 0, 0]), "is no IDX file"),
        (bytes([0, 0, 8, 0]), "is no IDX file"),
        (bytes([0, 0, 8, 3, 0, 0, 0, 1]), "ends within its header, after 8 of 16 bytes; get it again"),
        (idx(np.zeros(9, np.uint8))[:-1], r"must have 17 bytes for numbers of shape \(9,\), and has 16; get it again"),
        (idx(np.zeros(9, np.uint8)) + b"more", r"must have 17 bytes for numbers of shape \(9,\), and has 21"),
    ],
)
def test_broken_files_are_told(tmp_path: Path, data: bytes, words: str) -> None:
    (tmp_path / "broken").write_bytes(data)
    with pytest.raises(ValueError, match=words):
        read_idx(tmp_path / "broken")


@pytest.mark.parametrize("data", [b"plain", gzip.compress(idx(np.zeros(999, np.uint8)))[:-9]], ids=["plain", "cut"])
def test_files_that_cannot_be_unpacked_are_told(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "broken.gz").write_bytes(data)
    with pytest.raises(ValueError, match="broken.gz cannot be unpacked by gzip"):
        read_idx(tmp_path / "broken.gz")


# ------------------------------------------------------------------------------------------------------------------- runs


def test_the_example_runs_and_reports(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "here"
    main(monkeypatch, "--images", "40", "--steps", "30", "--held-out", "100", "--static", "--out", str(out))
    text = capsys.readouterr().out
    assert "1,697 images fitted, 40 that were held out probed, pixels from 0 to 16, a step is 1" in text
    rows = [line for line in text.splitlines() if line.startswith(("naive Bayes, smoothing 1e-9", "naive Bayes, smoothing 1e-2"))]
    assert float(rows[0].split("%")[1]) > float(rows[1].split("%")[1])  # images that flip
    assert "floor 4" in text
    assert "1,000 images of static" in text
    names = {path.name for path in out.iterdir()}
    assert names >= {"bayes_1e-9_map.png", "bayes_1e-9_examples.png", "bayes_1e-2_map.png", "network_map.png", "static.png"}
    assert all(f"{out / name}" in text for name in names)
    for path in out.iterdir():
        with Image.open(path) as picture:
            assert min(picture.size) > 200


def test_the_papers_own_files_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    bunch = load_digits()
    pixels, labels = (bunch.images * 15.9).astype(np.uint8), bunch.target.astype(np.uint8)
    (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(pixels), 1))
    (tmp_path / "train-labels.idx1-ubyte").write_bytes(idx(labels))
    main(monkeypatch, "--mnist", str(tmp_path), "--images", "30", "--steps", "30", "--screen", "5", "--out", str(tmp_path / "out"))
    text = capsys.readouterr().out
    assert f"{tmp_path}: 1,797 images fitted, 30 of these probed, pixels from 0 to 255, a step is 1" in text
    assert text.count(">= ") == 3  # the network's, which was screened
    (tmp_path / "train-labels.idx1-ubyte").write_bytes(idx(labels[:-1]))
    with pytest.raises(ValueError, match=r"must have images and as many labels from 0 to 9, got \(1797, 8, 8\) and \(1796,\)"):
        main(monkeypatch, "--mnist", str(tmp_path))
    with pytest.raises(SystemExit, match=r"--held-out must be from 0 to 1,796, got 1797"):
        main(monkeypatch, "--held-out", "1797")
    with pytest.raises(SystemExit, match=r"--images must be 1 or more, got 0"):
        main(monkeypatch, "--images", "0")


def test_pixels_that_are_constant_in_a_class_are_told() -> None:
    images = np.zeros((20, 2, 2), np.int64)
    images[:, 0, 0] = np.arange(20)
    images[4, 1, 1] = 3
    labels = np.arange(20) % 10
    told = pixel_probe.Images(images, labels, images[:5], labels[:5], 19, "")
    assert told.constant().tolist() == [[False, True, True, digit != 4] for digit in range(10)]
    assert told.constant_somewhere().tolist() == [False, True, True, True]
    assert told.legal().tolist() == [9, 5, 5, 6]


@pytest.mark.slow
def test_the_figures_of_naive_bayes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Fitted to all 1,797 digits, and probed with them."""
    main(monkeypatch, "--out", str(tmp_path))
    text = capsys.readouterr().out
    rows = {line[:28].strip(): line[28:].split() for line in text.splitlines()}
    assert rows["naive Bayes, smoothing 1e-9"] == ["85.8%", "99.3%", "10.876%", "17,760", "17,054", "15,481"]
    assert rows["naive Bayes, smoothing 1e-2"] == ["92.7%", "2.3%", "0.137%", "223", "52", "14"]
    assert rows["of all 163,288 legal probes"] == ["38,239"]
    accuracy, share = (float(rows["convolutional network"][place].rstrip("%")) for place in (0, 1))
    assert accuracy > 97
    assert share < 3

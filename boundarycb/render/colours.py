"""The palette of a run: at most 256 colours, fixed before the first frame, so that PNG and GIF need no search of their own.

Lines are drawn in true colour over the background and then mapped to the palette by a table with 32 steps a channel. The
palette holds the background's tones as they are, each layer's colour, and the blends that anti-aliasing makes: line over
background and line over line. These are few on purpose: what a crowded picture takes as a PNG or a GIF goes by how many colours are
spread over it, and more of them are not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from boundarycb.evenly import evenly
from boundarycb.types import Field, Picture, frozen

Rgb = NDArray[np.uint8]

# After Okabe and Ito's colours ("Color Universal Design", 2008), with a blue, a green, a purple and a violet that also stand out
# from the background's greys, and from the ink of the border between classes. Under simulated red-, green- and blue-blindness
# every pair stays apart (tests/test_render.py).
_FEW = ("#1F6FD0", "#D55E00", "#006837", "#A03C92", "#5A0FC8")
# From violet to crimson by way of all hues, none lighter than a line may be. Searched for: of six to sixteen layers any two stand
# three times as far apart as on matplotlib's plasma, or more, and one and a half times for the colour-blind (tests/test_render.py).
_MANY = ("#290046", "#003cd3", "#3996b9", "#6c9360", "#ae8501", "#82000b", "#a90d67")
_CLASSES = tuple(
    "#9ecae9 #ffbf79 #98df8a #f2a6a5 #cfb6e6 #d6b5a6 #f7c6dd #c9c9c9 #dede8c #a6e0e8 "  # noqa: SIM905
    "#4fb8a0 #7fabf0 #e58bbf #93ae8a #5fd0e6 #b49d6c #e5926c #9b93dc #c3e07a #8fdcbc".split()
)

CLASS_HUES = len(_CLASSES)

WHITE, INK, FAINT, ALARM = "#ffffff", "#20232a", "#73777f", "#c4161c"
UNDEFINED = "#f6c9cb"  # background where the output is not finite
_DARK, _LIGHT = 142, 252  # ends of the background's greys: every line colour is darker than the darkest of them
_TONES = 24
_CLASS_TONES = 5
_OWN = 80  # layers at most whose colours are in the palette as they are


def rgb(code: str) -> tuple[int, int, int]:
    """Return "#rrggbb" as numbers.

    >>> rgb("#0072B2")
    (0, 114, 178)
    """
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)


def class_colour(number: int) -> str:
    """Return the colour of a class, for a mark on any background; twenty of them, which then repeat."""
    return _CLASSES[number % len(_CLASSES)]


def layer_colours(count: int) -> tuple[str, ...]:
    """Return one colour a layer, in depth order: well-known distinct ones for up to five, else steps along a dark ramp."""
    if count <= len(_FEW):
        return _FEW[:count]
    places = np.linspace(0, len(_MANY) - 1, count)
    channels = [np.interp(places, range(len(_MANY)), channel) for channel in np.array([rgb(code) for code in _MANY]).T]
    return tuple("#" + "".join(f"{round(part):02x}" for part in colour) for colour in zip(*channels, strict=True))


@dataclass(frozen=True, eq=False)
class Scheme:
    """The colours of one kind of picture.

    Args:
        layers: colour of each layer.
        palette: (k, 3), at most 256; the background's tones come first.
        opaque: (t,), the background's tones as a canvas has them: red, green, blue and 255 in the bytes of a uint32.
    """

    layers: tuple[str, ...]
    palette: Rgb
    opaque: NDArray[np.uint32]
    _table: NDArray[np.uint8]

    def to_picture(self, pixels: Rgb, background: NDArray[np.uint8]) -> Picture:
        """Return true-colour `pixels` (h, w, 4) as a picture; where they still equal the tone `background` (h, w), that is kept."""
        packed = pixels.view(np.uint32)[..., 0]
        touched = np.flatnonzero(packed != self.opaque.take(background))
        found = packed.ravel().take(touched).view("<u4")  # red in the lowest byte
        indices = background.copy()
        indices.ravel()[touched] = self._table.take((found & 0xF8) << 7 | found >> 6 & 0x3E0 | found >> 19 & 0x1F)
        return Picture(indices, self.palette)


@lru_cache(maxsize=8)
def scheme(layer_count: int, kind: str, classes: int, more: bytes = b"") -> Scheme:
    """Return the colours for `layer_count` layers over a background of `kind` (a Field's, or ``none``), and for `more`.

    `more` are colours that pictures have besides, three bytes each.
    """
    lines = layer_colours(layer_count)
    tones = _tones(kind, classes)
    own = [lines[place] for place in evenly(len(lines), _OWN)]  # of more layers, neighbours on the ramp share one
    named = np.array([rgb(code) for code in (WHITE, INK, FAINT, ALARM, *own)], dtype=np.uint8)
    fixed = np.concatenate([tones, named, np.frombuffer(more, np.uint8).reshape(-1, 3)])
    blends = _blends(lines, tones, kind)
    palette = np.concatenate([fixed, _reduced(blends, 256 - len(fixed))])
    opaque = np.concatenate([tones, np.full((len(tones), 1), 255, np.uint8)], axis=1).view(np.uint32)[:, 0]
    return Scheme(lines, frozen(palette), frozen(opaque), frozen(_nearest(palette)))


def _tones(kind: str, classes: int) -> Rgb:
    """Return the background's colours; the first is for values that are undefined."""
    undefined = np.array([rgb(UNDEFINED)], dtype=np.uint8)
    if kind == "classes":
        hues = np.array([rgb(_CLASSES[k % len(_CLASSES)]) for k in range(min(classes, len(_CLASSES)))], dtype=np.float64)
        strength = np.linspace(0.25, 1, _CLASS_TONES)[None, :, None]
        tints = 255 - strength * (255 - hues[:, None, :])
        return np.concatenate([undefined, tints.reshape(-1, 3).round().astype(np.uint8)])
    greys = np.linspace(_DARK, _LIGHT, _TONES).round().astype(np.uint8)
    return np.concatenate([undefined, np.stack([greys, greys, greys], axis=1)])


def tone_indices(
    field: Field, share: NDArray[np.uint8], winner: NDArray[np.int32] | None, undefined: NDArray[np.bool_] | None
) -> NDArray[np.uint8]:
    """Return the tone of each pixel (h, w).

    Args:
        field: tells the kind of tones.
        share: the value's place between the darkest and the lightest tone, 0 to 255.
        winner: the winning class, for a field of classes.
        undefined: where the value is not finite.
    """
    steps = _CLASS_TONES if field.kind == "classes" else _TONES
    tone = (1 + np.rint(np.arange(256) / 255 * (steps - 1))).astype(np.uint8).take(share)
    if winner is not None:
        tone += (winner % len(_CLASSES)).astype(np.uint8) * np.uint8(_CLASS_TONES)
    if undefined is not None:
        tone[undefined] = 0
    return tone


def _blends(lines: Sequence[str], tones: Rgb, kind: str) -> Rgb:
    """Return the colours that drawing makes: lines over a few tones and over white, lines over lines, letters over white."""
    white = np.array([rgb(WHITE)], dtype=np.float64)
    under = np.concatenate([_some_of(tones[1:], kind), white])
    over, letters = (np.array([rgb(code) for code in codes], dtype=np.float64) for codes in (lines, (INK, FAINT, ALARM)))
    pairs = [(0.5 * (over[i] + over[j]))[None] for i, j in combinations(range(min(len(over), 8)), 2)]
    mixed = [_mixed(over, under), _mixed(letters, white), 0.5 * (over + letters[:1]), *pairs]
    return np.concatenate(mixed).round().astype(np.uint8)


def _mixed(over: NDArray[np.float64], under: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the blends of each colour of one with each of the other."""
    alphas = np.array([0.25, 0.5, 0.75])[:, None, None, None]
    blends: NDArray[np.float64] = alphas * over[:, None] + (1 - alphas) * under
    return blends.reshape(-1, 3)


def _some_of(tones: Rgb, kind: str) -> Rgb:
    """Return tones that stand for all of them: two of each class, one where classes are many, or three of the greys."""
    if kind == "classes":
        classes = tones.reshape(-1, _CLASS_TONES, 3)
        return classes[:, 1::2].reshape(-1, 3) if len(classes) < 4 else classes[:, 2]
    return tones[:: (len(tones) - 1) // 2]


def _reduced(colours: Rgb, count: int) -> Rgb:
    """Return `count` colours that stand for `colours`, by Pillow's median cut."""
    image = Image.fromarray(colours[None]).quantize(count, method=Image.Quantize.MEDIANCUT)
    flat = np.array(image.getpalette(), dtype=np.uint8).reshape(-1, 3)
    return flat[:count]


def _nearest(palette: Rgb) -> NDArray[np.uint8]:
    """Return the index of the nearest colour for each of 32**3 colours."""
    side = np.arange(32, dtype=np.uint8) * 8 + 4
    grid = np.stack(np.meshgrid(side, side, side, indexing="ij"), axis=-1).reshape(1, -1, 3)
    image = Image.new("P", (1, 1))
    image.putpalette(palette.tobytes())
    mapped = Image.fromarray(grid).quantize(palette=image, dither=Image.Dither.NONE)
    return np.asarray(mapped, dtype=np.uint8).ravel()

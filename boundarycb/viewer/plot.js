// @ts-check
/** One plot: the output, the lines over it, and what is picked, seen through a window that zooms and moves. */

import { straight } from "./pens.js";
import { fitted } from "./names.js";
import { along, classColour, css, mixed } from "./palette.js";
import { called, columnOf, keyOf, placeOf, unitAt, unitsOf } from "./run.js";

/** @typedef {import("./pens.js").Pen} Pen */
/** @typedef {import("./pens.js").Path} Path */
/** @typedef {import("./pens.js").Box} Box */
/** @typedef {import("./palette.js").Theme} Theme */
/** @typedef {import("./run.js").View} View */
/** @typedef {import("./run.js").Lines} Lines */
/** @typedef {import("./run.js").Scene} Scene */
/** @typedef {"output" | "regions" | "target" | "count" | "none"} Background */
/** @typedef {{ x: number, y: number, zoom: number }} Sight the middle of what is seen, in the unit square, and how much it is enlarged */

export const MOST_ZOOM = 1000;
const SMOOTHEST = 24; // pixels a grid point at which the output is no longer smoothed: what is between the points is not known
export const LETTERS = 11; // pixels
const EDGE = 5; // pixels between a unit's name and the plot's sides
const LEVELS = 63; // of the output, less one

/**
 * What a plot shows.
 * @typedef {object} Choice
 * @property {Background} background
 * @property {(layer: string, index: number) => boolean} shown whether a unit's lines are
 * @property {(layer: string) => boolean} layerShown whether a layer is
 * @property {(layer: string) => string} colour of a layer
 * @property {(layer: string) => string} named what a layer is called where there is little room
 * @property {string[]} pinned keys of units
 * @property {string} hovered key of a unit, or empty
 * @property {View[]} trail earlier samples, oldest first
 * @property {boolean} marks whether data are shown
 * @property {boolean} border whether the border between classes is
 * @property {Theme} theme
 */

/** Where things are: between the unit square and a box of pixels. */
export class Window {
  /** @param {Sight} sight @param {Box} box */
  constructor(sight, box) {
    this.box = box;
    this.zoom = sight.zoom;
    this.left = sight.x - 0.5 / sight.zoom;
    this.bottom = sight.y - 0.5 / sight.zoom;
  }

  /** @param {number} x @returns {number} */
  px(x) {
    return this.box.x + (x - this.left) * this.zoom * this.box.width;
  }

  /** @param {number} y @returns {number} */
  py(y) {
    return this.box.y + (1 - (y - this.bottom) * this.zoom) * this.box.height;
  }

  /** @param {number} px @returns {number} */
  x(px) {
    return this.left + (px - this.box.x) / this.box.width / this.zoom;
  }

  /** @param {number} py @returns {number} */
  y(py) {
    return this.bottom + (1 - (py - this.box.y) / this.box.height) / this.zoom;
  }
}

/**
 * Returns a sight that stays on the slice.
 * @param {Sight} sight
 * @returns {Sight}
 */
export function kept({ x, y, zoom }) {
  const close = Math.min(Math.max(zoom, 1), MOST_ZOOM);
  const half = 0.5 / close;
  const inside = (/** @type {number} */ value) => Math.min(Math.max(value, half), 1 - half);
  return { x: inside(x), y: inside(y), zoom: close };
}

/**
 * Returns a sight enlarged by `factor` about a place that stays where it is.
 * @param {Sight} sight @param {number} x @param {number} y @param {number} factor
 */
export function zoomed(sight, x, y, factor) {
  const zoom = Math.min(Math.max(sight.zoom * factor, 1), MOST_ZOOM);
  const share = sight.zoom / zoom;
  return kept({ x: x + (sight.x - x) * share, y: y + (sight.y - y) * share, zoom });
}

/**
 * Draws a plot.
 * @param {Pen} pen @param {Box} box @param {Scene} scene @param {View} view @param {Sight} sight @param {Choice} choice
 */
export function drawPlot(pen, box, scene, view, sight, choice) {
  const window = new Window(sight, box);
  pen.inside(box, () => {
    drawBackground(pen, window, scene, view, choice);
    const columns = new Set(choice.pinned.map((key) => columnOf(view, key)));
    const dimmed = view.lines.owner.some((/** @type {number} */ owner) => columns.has(owner)); // where there is one to stand out
    view.layers.forEach((layer, number) => {
      pen.group(layer.name, () => drawLayer(pen, window, view, number, choice, dimmed));
    });
    if (view.border && choice.border) {
      const trace = tracer(window, view.border, () => true);
      pen.stroke(trace, { colour: choice.theme.halo, width: 4.6 });
      pen.stroke(trace, { colour: choice.theme.ink, width: 2.2 });
    }
    drawMarks(pen, window, scene, choice);
    for (const key of choice.pinned) drawPicked(pen, window, view, key, choice, true);
    if (choice.hovered && !choice.pinned.includes(choice.hovered)) drawPicked(pen, window, view, choice.hovered, choice, false);
  });
  pen.frame(box, choice.theme.rule);
}

/** @param {Pen} pen @param {Window} window @param {View} view @param {number} number @param {Choice} choice @param {boolean} dimmed */
function drawLayer(pen, window, view, number, choice, dimmed) {
  const layer = view.layers[number];
  const shown = shownOf(view, number, choice);
  let count = 0;
  for (const owner of view.lines.owner) count += shown(owner) ? 1 : 0;
  if (!count) return;
  const width = Math.max(0.7, 1.8 * Math.min(1, (60 / count) ** 0.35));
  const alpha = (count <= 60 ? 0.95 : 0.75) * (dimmed ? 0.35 : 1);
  pen.stroke(tracer(window, view.lines, shown), { colour: choice.colour(layer.name), width, alpha });
}

/**
 * Returns which columns of a layer are shown.
 * @param {View} view @param {number} number @param {Choice} choice
 * @returns {(column: number) => boolean}
 */
function shownOf(view, number, choice) {
  const layer = view.layers[number];
  const [start, stop] = [view.starts[number], view.starts[number + 1]];
  const flags = new Uint8Array(stop - start);
  for (let place = 0; place < flags.length; place++) {
    flags[place] = choice.shown(layer.name, layer.kept ? layer.kept[place] : place) ? 1 : 0;
  }
  return (column) => column >= start && column < stop && flags[column - start] === 1;
}

/** @param {Pen} pen @param {Window} window @param {View} view @param {string} key @param {Choice} choice @param {boolean} pinned */
function drawPicked(pen, window, view, key, choice, pinned) {
  const [name, index] = [key.slice(0, key.lastIndexOf(":")), Number(key.slice(key.lastIndexOf(":") + 1))];
  const colour = choice.colour(name);
  if (pinned) {
    choice.trail.forEach((earlier, age) => {
      const column = columnOf(earlier, key);
      const alpha = 0.12 + (0.4 * (age + 1)) / choice.trail.length;
      if (column >= 0) pen.stroke(tracer(window, earlier.lines, (owner) => owner === column), { colour, width: 1.2, alpha });
    });
  }
  const column = columnOf(view, key);
  if (column < 0) return;
  const trace = tracer(window, view.lines, (owner) => owner === column);
  pen.stroke(trace, { colour: choice.theme.halo, width: 6 });
  pen.stroke(trace, { colour, width: 3 });
  pen.stroke(ticks(window, view.lines, column), { colour, width: 1.2 });
  const { layer } = unitAt(view, column);
  const letters = { size: LETTERS + 1, colour, bold: true, halo: choice.theme.halo };
  drawLabel(pen, window, view.lines, column, called(choice.named(name), placeOf(layer, index)), letters);
}

/**
 * Writes a unit's name beside its line, inside the plot: it would be cut before its number, which stands at its end.
 * @param {Pen} pen @param {Window} window @param {Lines} lines @param {number} column @param {string} words
 * @param {import("./pens.js").Letters} letters
 */
function drawLabel(pen, window, lines, column, words, letters) {
  const place = labelPlace(window, lines, column);
  if (!place) return;
  const { x, y, width, height } = window.box;
  const told = fitted(words, width - 2 * EDGE, (some) => pen.wide(some, letters));
  const wide = pen.wide(told, letters);
  const left = place.align === "right" ? place.x - wide : place.x;
  const inside = (/** @type {number} */ value, /** @type {number} */ low, /** @type {number} */ high) => Math.max(Math.min(value, high), low);
  pen.text(inside(left, x + EDGE, x + width - EDGE - wide), inside(place.y, y + 14, y + height - EDGE), told, letters);
}

// ----------------------------------------------------------------------------------------------------------------- lines

/**
 * Returns what traces the lines of the owners that are shown, cut at the window's edges.
 * @param {Window} window @param {Lines} lines @param {(owner: number) => boolean} shown
 * @returns {(path: Path) => void}
 */
function tracer(window, lines, shown) {
  return (path) => {
    for (let line = 0; line < lines.owner.length; line++) {
      if (shown(lines.owner[line]) && isNear(window, lines.boxes, line)) traceLine(path, window, lines, line);
    }
  };
}

/** @param {Window} window @param {Float32Array} boxes @param {number} line */
function isNear(window, boxes, line) {
  const [right, top] = [window.left + 1 / window.zoom, window.bottom + 1 / window.zoom];
  const out = boxes[4 * line] > right || boxes[4 * line + 2] < window.left || boxes[4 * line + 1] > top;
  return !out && boxes[4 * line + 3] >= window.bottom;
}

/**
 * Traces one line, without what lies far outside of the window: there coordinates would be too large to be drawn well.
 * @param {Path} path @param {Window} window @param {Lines} lines @param {number} line
 */
function traceLine(path, window, lines, line) {
  const { points, starts } = lines;
  const { box } = window;
  const [x0, y0, x1, y1] = [box.x - 20, box.y - 20, box.x + box.width + 20, box.y + box.height + 20];
  const begin = starts[line];
  let ax = window.px(points[2 * begin]);
  let ay = window.py(points[2 * begin + 1]);
  let down = false;
  for (let k = begin + 1; k < starts[line + 1]; k++) {
    const bx = window.px(points[2 * k]);
    const by = window.py(points[2 * k + 1]);
    const cut = cutSegment(ax, ay, bx, by, x0, y0, x1, y1);
    if (cut) {
      const [from, to] = cut;
      if (!down || from > 0) path.moveTo(ax + from * (bx - ax), ay + from * (by - ay));
      path.lineTo(ax + to * (bx - ax), ay + to * (by - ay));
      down = to === 1;
    } else down = false;
    ax = bx;
    ay = by;
  }
}

/**
 * Returns which part of a segment lies in a box, as two shares of its length; null where none does (Liang and Barsky, 1984).
 * @param {number} ax @param {number} ay @param {number} bx @param {number} by
 * @param {number} x0 @param {number} y0 @param {number} x1 @param {number} y1
 * @returns {[number, number] | null}
 */
function cutSegment(ax, ay, bx, by, x0, y0, x1, y1) {
  if (ax >= x0 && ax <= x1 && ay >= y0 && ay <= y1 && bx >= x0 && bx <= x1 && by >= y0 && by <= y1) return [0, 1];
  let from = 0;
  let to = 1;
  const sides = [[ax - bx, ax - x0], [bx - ax, x1 - ax], [ay - by, ay - y0], [by - ay, y1 - ay]];
  for (const [pace, room] of sides) {
    if (pace === 0) {
      if (room < 0) return null;
    } else if (pace < 0) from = Math.max(from, room / pace);
    else to = Math.min(to, room / pace);
  }
  return from < to ? [from, to] : null;
}

/**
 * Returns what traces short strokes from a unit's boundary to the side where it is on, which is on the lines' left.
 * @param {Window} window @param {Lines} lines @param {number} column
 * @returns {(path: Path) => void}
 */
function ticks(window, lines, column) {
  const [gap, length] = [16, 6];
  return (path) => {
    for (let line = 0; line < lines.owner.length; line++) {
      if (lines.owner[line] !== column || !isNear(window, lines.boxes, line)) continue;
      let rest = gap / 2;
      segments(window, lines, line, (ax, ay, bx, by, size) => {
        // v grows upwards and pixels downwards: left of (dx, dy) is (dy, -dx).
        const [ux, uy] = [(bx - ax) / size, (by - ay) / size];
        for (; rest < size; rest += gap) {
          const [x, y] = [ax + ux * rest, ay + uy * rest];
          path.moveTo(x, y);
          path.lineTo(x + uy * length, y - ux * length);
        }
        rest -= size;
      });
    }
  };
}

/**
 * Calls `take` with the ends of each segment of a line as far as it is seen, in pixels, and its length.
 * @param {Window} window @param {Lines} lines @param {number} line
 * @param {(ax: number, ay: number, bx: number, by: number, size: number) => void} take
 */
function segments(window, lines, line, take) {
  const { box } = window;
  for (let k = lines.starts[line]; k + 1 < lines.starts[line + 1]; k++) {
    const [ax, ay] = [window.px(lines.points[2 * k]), window.py(lines.points[2 * k + 1])];
    const [bx, by] = [window.px(lines.points[2 * k + 2]), window.py(lines.points[2 * k + 3])];
    const cut = cutSegment(ax, ay, bx, by, box.x, box.y, box.x + box.width, box.y + box.height);
    if (!cut) continue;
    const [x0, y0] = [ax + cut[0] * (bx - ax), ay + cut[0] * (by - ay)];
    const [x1, y1] = [ax + cut[1] * (bx - ax), ay + cut[1] * (by - ay)];
    const size = Math.hypot(x1 - x0, y1 - y0);
    if (size > 0) take(x0, y0, x1, y1, size);
  }
}

/**
 * Returns where a unit's name stands: beside the middle of the longest piece that is seen.
 * @param {Window} window @param {Lines} lines @param {number} column
 */
function labelPlace(window, lines, column) {
  let longest = 0;
  let [x, y] = [0, 0];
  for (let line = 0; line < lines.owner.length; line++) {
    if (lines.owner[line] !== column || !isNear(window, lines.boxes, line)) continue;
    segments(window, lines, line, (ax, ay, bx, by, size) => {
      if (size > longest) [longest, x, y] = [size, (ax + bx) / 2, (ay + by) / 2];
    });
  }
  if (!longest) return null;
  const right = x > window.box.x + window.box.width * 0.7;
  const below = y < window.box.y + 24;
  return { x: x + (right ? -10 : 10), y: y + (below ? 18 : -8), align: /** @type {"left" | "right"} */ (right ? "right" : "left") };
}

/**
 * Returns the column of the unit whose line is nearest to a place in pixels, among those that are shown; -1 where none is near.
 * @param {Box} box @param {View} view @param {Sight} sight @param {Choice} choice @param {number} x @param {number} y
 * @param {number} reach pixels from a line within which it is meant
 */
export function nearestUnit(box, view, sight, choice, x, y, reach) {
  const window = new Window(sight, box);
  const flags = view.layers.map((_, number) => shownOf(view, number, choice));
  const { owner, boxes, points, starts } = view.lines;
  const [mx, my] = [window.x(x), window.y(y)];
  const [rx, ry] = [reach / (box.width * window.zoom), reach / (box.height * window.zoom)];
  let [best, distance] = [-1, reach * reach];
  for (let line = 0; line < owner.length; line++) {
    if (boxes[4 * line] > mx + rx || boxes[4 * line + 2] < mx - rx) continue;
    if (boxes[4 * line + 1] > my + ry || boxes[4 * line + 3] < my - ry) continue;
    if (!flags.some((shown) => shown(owner[line]))) continue;
    for (let k = starts[line]; k + 1 < starts[line + 1]; k++) {
      const [ax, ay] = [window.px(points[2 * k]) - x, window.py(points[2 * k + 1]) - y];
      const [bx, by] = [window.px(points[2 * k + 2]) - x, window.py(points[2 * k + 3]) - y];
      const near = toSegment(ax, ay, bx - ax, by - ay);
      if (near < distance) [best, distance] = [owner[line], near];
    }
  }
  return best;
}

/** @param {number} ax @param {number} ay @param {number} dx @param {number} dy; returns the squared distance of (0, 0) from it */
function toSegment(ax, ay, dx, dy) {
  const size = dx * dx + dy * dy;
  const share = size ? Math.min(Math.max(-(ax * dx + ay * dy) / size, 0), 1) : 0;
  return (ax + share * dx) ** 2 + (ay + share * dy) ** 2;
}

// ------------------------------------------------------------------------------------------------------------ background

/** @type {WeakMap<object, Map<string, HTMLCanvasElement>>} */
const pictures = new WeakMap();

/** @param {Pen} pen @param {Window} window @param {Scene} scene @param {View} view @param {Choice} choice */
function drawBackground(pen, window, scene, view, choice) {
  const { box } = window;
  pen.fill(box, choice.theme.plot);
  const picture = pictureOf(scene, view, choice.background, choice.theme);
  if (!picture) return;
  const part = {
    x: window.left * picture.width,
    y: (1 - window.bottom - 1 / window.zoom) * picture.height,
    width: picture.width / window.zoom,
    height: picture.height / window.zoom,
  };
  const coarse = (box.width * window.zoom) / picture.width > SMOOTHEST;
  const classes = choice.background === "target" || choice.background === "regions" || view.said?.kind === "classes";
  pen.image(picture, part, box, !coarse && (!classes || choice.background === "count"));
}

/**
 * Returns the background as a picture of a pixel a grid point, made once; null where there is none.
 * @param {Scene} scene @param {View} view @param {Background} background @param {Theme} theme
 */
function pictureOf(scene, view, background, theme) {
  if (!has(scene, view, background) || background === "none") return null;
  const owner = background === "target" ? scene : view;
  const known = pictures.get(owner) ?? new Map();
  pictures.set(owner, known);
  const name = `${background} ${theme.dark}`;
  if (!known.has(name)) known.set(name, painted(scene, view, background, theme));
  return /** @type {HTMLCanvasElement} */ (known.get(name));
}

/**
 * Returns whether a sample has such a background.
 * @param {Scene} scene @param {View} view @param {Background} background
 */
export function has(scene, view, background) {
  if (background === "none") return true;
  if (background === "target") return scene.target !== null;
  if (background === "count") return view.count !== null;
  return view.field !== null && (background === "output" || view.said?.kind !== "value");
}

/** @param {Scene} scene @param {View} view @param {Background} background @param {Theme} theme */
function painted(scene, view, background, theme) {
  const { grid, tone } = tones(scene, view, background, theme);
  const picture = document.createElement("canvas");
  picture.width = grid.width;
  picture.height = grid.height;
  const image = new ImageData(grid.width, grid.height);
  for (let row = 0; row < grid.height; row++) {
    for (let column = 0; column < grid.width; column++) {
      // The first row of a grid is that of the smallest v, which is the lowest.
      const [red, green, blue] = tone(row * grid.width + column);
      image.data.set([red, green, blue, 255], 4 * ((grid.height - 1 - row) * grid.width + column));
    }
  }
  /** @type {CanvasRenderingContext2D} */ (picture.getContext("2d")).putImageData(image, 0, 0);
  return picture;
}

/**
 * Returns a background's grid, and the colour of each of its points.
 * @param {Scene} scene @param {View} view @param {Background} background @param {Theme} theme
 * @returns {{ grid: import("./run.js").Grid, tone: (k: number) => import("./palette.js").Rgb }}
 */
function tones(scene, view, background, theme) {
  if (background === "target" && scene.target) {
    const { values } = scene.target;
    return { grid: scene.target, tone: (k) => (values[k] < 0 ? theme.undefined : classColour(values[k], 0.8, theme)) };
  }
  if (background === "count" && view.count) {
    const { values } = view.count;
    const all = view.starts[view.starts.length - 1] || 1;
    const table = Array.from({ length: all + 1 }, (_, count) => along(theme.counts, count / all));
    return { grid: view.count, tone: (k) => table[values[k]] };
  }
  const field = /** @type {import("./run.js").Grid} */ (view.field);
  const levels = field.values;
  const share = (/** @type {number} */ k) => (levels[k] - 1) / LEVELS;
  if (view.winner && view.said?.kind === "classes") {
    const won = view.winner.values;
    const strength = background === "regions" ? () => 0.8 : (/** @type {number} */ k) => 0.2 + 0.8 * share(k);
    return { grid: field, tone: (k) => (levels[k] ? classColour(won[k], strength(k), theme) : theme.undefined) };
  }
  if (background === "regions") {
    return { grid: field, tone: (k) => (levels[k] ? classColour(share(k) > 0.5 ? 1 : 0, 0.8, theme) : theme.undefined) };
  }
  const greys = Array.from({ length: LEVELS + 1 }, (_, level) => mixed(theme.low, theme.high, level / LEVELS));
  return { grid: field, tone: (k) => (levels[k] ? greys[levels[k] - 1] : theme.undefined) };
}

// ----------------------------------------------------------------------------------------------------------------- marks

/** @param {Pen} pen @param {Window} window @param {Scene} scene @param {Choice} choice */
function drawMarks(pen, window, scene, choice) {
  const { limits, marks, labels, anchors, anchorNames } = scene;
  if (limits?.length) {
    const corners = [...limits, limits[0], limits[1]];
    const trace = (/** @type {Path} */ path) => {
      for (let k = 0; k < corners.length; k += 2) {
        const [x, y] = [window.px(corners[k]), window.py(corners[k + 1])];
        if (k) path.lineTo(x, y);
        else path.moveTo(x, y);
      }
    };
    pen.stroke(trace, { colour: choice.theme.faint, width: 1, dash: [5, 4] });
  }
  if (!choice.marks) return;
  for (let k = 0; marks && k < marks.length / 2; k++) {
    const label = labels ? labels[k] : -1;
    const fill = label < 0 ? choice.theme.faint : css(classColour(label, 1, choice.theme));
    pen.dot(window.px(marks[2 * k]), window.py(marks[2 * k + 1]), 2.6, fill, choice.theme.ink);
  }
  for (let k = 0; anchors && k < anchors.length / 2; k++) {
    const [x, y] = [window.px(anchors[2 * k]), window.py(anchors[2 * k + 1])];
    pen.dot(x, y, 4, choice.theme.plot, choice.theme.ink);
    const letter = "abcdefghij"[k] ?? ""; // as the axes and what is held call it
    const words = anchorNames[k] ? `${letter}: ${anchorNames[k]}` : letter;
    const left = x > window.box.x + window.box.width * 0.75;
    const align = left ? "right" : "left";
    pen.text(x + (left ? -8 : 8), y + 4, words, { size: LETTERS, colour: choice.theme.ink, halo: choice.theme.halo, align });
  }
}

/**
 * Draws the numbers along a plot's left and lower side, in slice coordinates.
 * @param {Pen} pen @param {Box} box @param {Scene} scene @param {Sight} sight @param {Theme} theme
 */
export function drawAxes(pen, box, scene, sight, theme) {
  const window = new Window(sight, box);
  const [[u0, u1], [v0, v1]] = scene.bounds;
  const letters = { size: LETTERS, colour: theme.faint };
  const across = shortened(steps(u0 + window.left * (u1 - u0), (u1 - u0) / sight.zoom, box.width / 70));
  across.ticks.forEach(({ value, words }, k) => {
    const x = window.px((value - u0) / (u1 - u0));
    pen.stroke(straight(x, box.y + box.height, x, box.y + box.height + 4), { colour: theme.faint, width: 1 });
    const align = x < box.x + 14 || (across.base && !k) ? "left" : x > box.x + box.width - 14 ? "right" : "center";
    pen.text(Math.max(x, box.x), box.y + box.height + 15, words, { ...letters, align });
  });
  const up = shortened(steps(v0 + window.bottom * (v1 - v0), (v1 - v0) / sight.zoom, box.height / 60));
  up.ticks.forEach(({ value, words }, k) => {
    const y = window.py((value - v0) / (v1 - v0));
    pen.stroke(straight(box.x - 4, y, box.x, y), { colour: theme.faint, width: 1 });
    const inside = up.base && !k; // too long to stand beside the plot
    const at = Math.min(Math.max(y + 4, box.y + 9), box.y + box.height - (inside ? 6 : 0));
    pen.text(inside ? box.x + 6 : box.x - 7, at, words, { ...letters, align: inside ? "left" : "right", halo: inside ? theme.halo : "" });
  });
}

/**
 * Returns ticks with words that are short: where all digits would take too much room, the first is whole and the others say how much
 * more they are.
 * @param {{ value: number, words: string }[]} ticks
 */
function shortened(ticks) {
  const longest = ticks.reduce((most, { words }) => Math.max(most, words.length), 0);
  if (longest <= 7 || ticks.length < 2) return { ticks, base: longest > 7 };
  const [first, ...rest] = ticks;
  const further = steps(0, rest[rest.length - 1].value - first.value, rest.length);
  const digits = further[further.length - 1]?.words.split(".")[1]?.length ?? 0;
  const more = (/** @type {number} */ value) => (digits > 4 ? Number(value.toPrecision(3)).toExponential().replace("-", "−") : value.toFixed(digits));
  return { ticks: [first, ...rest.map(({ value }) => ({ value, words: `+${more(value - first.value)}` }))], base: true };
}

/**
 * Returns round numbers from `low` on, about `count` of them over `span`, and how they are written.
 * @param {number} low @param {number} span @param {number} count
 */
export function steps(low, span, count) {
  const rough = span / Math.max(count, 1);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5].find((factor) => factor * power >= rough) ?? 10);
  const digits = Math.min(Math.max(0, -Math.floor(Math.log10(step) + 1e-9)), 12);
  const found = [];
  const begin = Math.ceil(low / step - 1e-9);
  for (let k = begin; k * step <= low + span * (1 + 1e-9) && k < begin + 100; k++) {
    const value = k * step;
    found.push({ value, words: value.toFixed(digits).replace(/^-0(\.0*)?$/, "0").replace("-", "−") });
  }
  return found;
}

/** @param {number} value; returns it with three digits, or says how it is not finite */
export function number(value) {
  if (!Number.isFinite(value)) return value === Infinity ? "∞" : value === -Infinity ? "−∞" : "NaN";
  const size = Math.abs(value);
  if (size && (size < 1e-3 || size >= 1e6)) return value.toExponential(1).replace("-", "−");
  if (Number.isInteger(value)) return value.toLocaleString("en").replace("-", "−");
  return Number(value.toPrecision(3)).toLocaleString("en", { maximumFractionDigits: 6 }).replace("-", "−");
}

/** @param {View} view @param {number} column; returns the key of the unit there */
export function keyAt(view, column) {
  const { layer, index } = unitAt(view, column);
  return keyOf(layer.name, index);
}

/** @param {View} view; returns how many units there are, and how many have a boundary here */
export function liveUnits(view) {
  const all = view.layers.reduce((sum, layer) => sum + unitsOf(layer), 0);
  return { all, live: new Set(view.lines.owner).size };
}

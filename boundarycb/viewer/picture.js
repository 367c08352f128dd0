// @ts-check
/** The picture to keep: what is seen of each run, with its step, the layers' and classes' colours and what stands below a plot. */

import { captionOf, scalarWords, swatchesOf } from "./caption.js";
import { fitted, shortNames } from "./names.js";
import { CanvasPen, straight, SvgPen } from "./pens.js";
import { drawAxes, drawPlot, number } from "./plot.js";

/** @typedef {import("./plot.js").Choice} Choice */
/** @typedef {import("./run.js").View} View */
/** @typedef {{ name: string, choice: Choice }} LayerPlot */
/** @typedef {import("./plot.js").Sight} Sight */
/** @typedef {import("./pens.js").Pen} Pen */
/** @typedef {import("./pens.js").Box} Box */
/** @typedef {import("./pens.js").Letters} Letters */
/** @typedef {{ colour: string, name: string, here: boolean }} Swatch */

/**
 * A run in a picture.
 * @typedef {object} Item
 * @property {string} name
 * @property {import("./run.js").Scene} scene
 * @property {View} view
 * @property {Choice} choice of the plot of all layers
 * @property {import("./plot.js").Background} wanted
 * @property {LayerPlot[]} [plots] of one layer each; without them all layers lie in one
 */

/**
 * What stands around a plot.
 * @typedef {object} Words
 * @property {string} title
 * @property {string} scalars
 * @property {boolean} apart whether they need a line of their own
 * @property {string[]} lines below the plot
 * @property {string[]} notes below them
 * @property {boolean} wrong whether these say that numbers are broken
 * @property {Swatch[][]} strip rows of classes
 */

const SIDE = 560; // the plot's longer side, in CSS pixels
const SMALL = 270; // that of one layer's plot
const MOST_COLUMNS = 4; // of such plots
const NARROWEST = 260; // that a run may be: words need some room, however narrow its plot is
const [PICTURE_LEFT, PICTURE_TOP, GAP] = [58, 54, 14];
const AXIS = 24; // pixels below a plot for the numbers along it
const LINE = 16; // pixels from one line of words to the next
const STRIP = 18; // pixels of a row of classes
const CELL = 58; // pixels that a class's name has at least
const KEY = 37; // pixels of a layer's stroke, and of the gaps around its name
const MOST_NAMES = 6; // of layers, that stand in a line
const MOST_LETTERS = 60; // of a file's name
const SCALE = 2; // pixels of a PNG by CSS pixel

/** @param {Item[]} items @param {Sight} sight; returns where things are, and all words */
function layoutOf(items, sight) {
  const ruler = new SvgPen(0, 0);
  const plots = items.map((item) => boxesOf(item));
  const rooms = plots.map((boxes) => Math.max(...boxes.map(({ x, width }) => x + width), NARROWEST));
  const words = items.map((item, place) => wordsOf(ruler, item, rooms[place], items.length > 1, sight));
  const top = PICTURE_TOP + (words.some(({ apart }) => apart) ? LINE : 0);
  let width = 0;
  let height = 0;
  const blocks = items.map((item, place) => {
    const left = width + (item.plots ? GAP : PICTURE_LEFT);
    const boxes = plots[place].map((box) => ({ ...box, x: left + box.x, y: top + box.y }));
    const bottom = Math.max(...boxes.map((box) => box.y + box.height), top) + (item.plots ? 8 : AXIS);
    const { lines, notes, strip } = words[place];
    width = left + rooms[place] + GAP;
    height = Math.max(height, bottom + (lines.length + notes.length) * LINE + strip.length * STRIP + 8);
    return { left, boxes, bottom, room: rooms[place], words: words[place] };
  });
  return { blocks, top, width, height };
}

/** @param {Item} item @returns {Box[]} where a run's plots are, from its upper left corner */
function boxesOf({ scene, plots }) {
  const side = plots ? SMALL : SIDE;
  const width = Math.round(side * Math.min(scene.ratio, 1));
  const height = Math.round(side / Math.max(scene.ratio, 1));
  if (!plots) return [{ x: 0, y: 0, width, height }];
  const columns = Math.ceil(plots.length / Math.ceil(plots.length / MOST_COLUMNS));
  return plots.map((_, place) => ({
    x: (place % columns) * (width + GAP),
    y: Math.floor(place / columns) * (height + AXIS + 2),
    width,
    height,
  }));
}

/** @param {Pen} pen @param {Item} item @param {number} room @param {boolean} several @param {Sight} sight @returns {Words} */
function wordsOf(pen, { name, scene, view, choice, wanted }, room, several, sight) {
  const { plain, notes, wrong } = captionOf(scene, view, choice, wanted, sight.zoom);
  const title = [...(several ? [name] : []), `step ${number(view.step)}`].join(" · ");
  const scalars = scalarWords(view, 3).join(" · ");
  const apart = pen.wide(title, titled(choice)) + pen.wide(scalars, plainly(choice)) + LINE > room;
  const small = captioned(choice);
  const strip = rowsOf(swatchesOf(scene, view, choice.background, choice.theme), room);
  return { title, scalars, apart, lines: wrapped(pen, plain.join(" · "), room, small), notes: wrapped(pen, notes.join(" · "), room, small), wrong, strip };
}

/** @param {Choice} choice @returns {Letters} */
function titled({ theme }) {
  return { size: 14, colour: theme.ink, bold: true };
}

/** @param {Choice} choice @returns {Letters} */
function plainly({ theme }) {
  return { size: 12, colour: theme.ink };
}

/** @param {Choice} choice @returns {Letters} */
function captioned({ theme }) {
  return { size: 11, colour: theme.faint };
}

/** @param {Pen} pen @param {string} words @param {number} room @param {Letters} letters; returns lines that fit */
function wrapped(pen, words, room, letters) {
  /** @type {string[]} */
  const lines = [];
  for (const word of words.split(" ").filter((some) => some)) {
    const longer = lines.length ? `${lines[lines.length - 1]} ${word}` : word;
    if (lines.length && pen.wide(longer, letters) <= room) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines.map((line) => fitted(line, room, (some) => pen.wide(some, letters)));
}

/** @param {Swatch[]} swatches @param {number} room; returns them in rows of about as many each */
function rowsOf(swatches, room) {
  const rows = Math.ceil(swatches.length / Math.floor(room / CELL));
  const each = Math.ceil(swatches.length / Math.max(rows, 1));
  return Array.from({ length: rows }, (_, row) => swatches.slice(row * each, (row + 1) * each));
}

/** @param {Pen} pen @param {Item[]} items @param {Sight} sight @param {ReturnType<typeof layoutOf>} layout */
function draw(pen, items, sight, { blocks, top, width, height }) {
  const { theme } = items[0].choice;
  pen.fill({ x: 0, y: 0, width, height }, theme.plot);
  items.forEach(({ scene, view, choice, plots }, place) => {
    const { left, boxes, bottom, room, words } = blocks[place];
    drawHead(pen, left, room, words, choice);
    if (plots) drawLayers(pen, boxes, plots, scene, view, sight);
    else {
      drawLegend(pen, left, top - 12, room, view, choice);
      drawPlot(pen, boxes[0], scene, view, sight, choice);
      drawAxes(pen, boxes[0], scene, sight, theme);
    }
    drawFoot(pen, left, bottom + 11, room, words, choice);
  });
}

/**
 * Draws layers side by side, each below its name.
 * @param {Pen} pen @param {Box[]} boxes @param {LayerPlot[]} plots @param {import("./run.js").Scene} scene @param {View} view @param {Sight} sight
 */
function drawLayers(pen, boxes, plots, scene, view, sight) {
  plots.forEach(({ name, choice }, place) => {
    const box = boxes[place];
    drawKeys(pen, box.x, box.y - 7, box.width, [{ colour: choice.colour(name), name: choice.named(name) }], choice);
    drawPlot(pen, box, scene, view, sight, choice);
  });
}

/** @param {Pen} pen @param {number} x @param {number} room @param {Words} words @param {Choice} choice */
function drawHead(pen, x, room, { title, scalars, apart }, choice) {
  const fit = (/** @type {string} */ words, /** @type {Letters} */ letters) => fitted(words, room, (some) => pen.wide(some, letters));
  pen.text(x, 20, fit(title, titled(choice)), titled(choice));
  const letters = plainly(choice);
  if (apart) pen.text(x, 20 + LINE, fit(scalars, letters), letters);
  else pen.text(x + room, 20, scalars, { ...letters, align: "right" });
}

/** @param {Pen} pen @param {number} x @param {number} top @param {number} room @param {Words} words @param {Choice} choice */
function drawFoot(pen, x, top, room, { lines, notes, wrong, strip }, choice) {
  let y = top;
  const write = (/** @type {string} */ line, /** @type {string} */ colour) => {
    pen.text(x, y, line, { ...captioned(choice), colour });
    y += LINE;
  };
  for (const line of lines) write(line, choice.theme.faint);
  for (const line of notes) write(line, wrong ? choice.theme.alarm : choice.theme.ink);
  const each = strip.length ? room / strip[0].length : 0;
  const names = stripNames(pen, strip.flat(), each - 8, captioned(choice));
  strip.forEach((row, number) => {
    row.forEach(({ colour, here }, column) => {
      const cell = { x: x + column * each, y: y - 11 + number * STRIP, width: each - 2, height: STRIP - 3 };
      const name = names[number * strip[0].length + column];
      pen.fill(cell, colour);
      pen.text(cell.x + 3, cell.y + 11, name, { ...captioned(choice), colour: here ? choice.theme.ink : choice.theme.faint });
    });
  });
}

/** @param {Pen} pen @param {Swatch[]} swatches @param {number} room @param {Letters} letters; returns the classes' names as they fit */
function stripNames(pen, swatches, room, letters) {
  const width = (/** @type {string} */ words) => pen.wide(words, letters);
  const names = swatches.map(({ name }) => name);
  if (names.every((name) => width(name) <= room)) return names;
  const short = shortNames(names, Math.max(Math.floor(room / 7), 4));
  return names.map((name) => fitted(short.get(name) ?? name, room, width));
}

// ---------------------------------------------------------------------------------------------------------------- legend

/** @param {Pen} pen @param {number} x @param {number} y @param {number} room @param {View} view @param {Choice} choice */
function drawLegend(pen, x, y, room, view, choice) {
  const layers = view.layers.map(({ name }) => name).filter((name) => choice.layerShown(name));
  const border = view.border && choice.border ? [{ colour: choice.theme.ink, name: "decision" }] : [];
  if (layers.length > MOST_NAMES) {
    const left = drawRamp(pen, x, y, room - (border.length ? 90 : 0), layers, choice);
    return drawKeys(pen, left, y, x + room - left, border, choice);
  }
  const keys = layers.map((name) => ({ colour: choice.colour(name), name: choice.named(name) }));
  return drawKeys(pen, x, y, room, [...keys, ...border], choice);
}

/**
 * Draws strokes with names beside one another, shortened where they need more room than there is.
 * @param {Pen} pen @param {number} x @param {number} y @param {number} room @param {{ colour: string, name: string }[]} keys @param {Choice} choice
 */
function drawKeys(pen, x, y, room, keys, choice) {
  const letters = plainly(choice);
  const width = (/** @type {string} */ words) => pen.wide(words, letters);
  const crowded = keys.reduce((sum, { name }) => sum + width(name) + KEY, 0) - LINE > room;
  let left = x;
  for (const { colour, name } of keys) {
    const words = crowded ? fitted(name, room / keys.length - KEY, width) : name;
    pen.stroke(straight(left, y - 4, left + 16, y - 4), { colour, width: 3 });
    pen.text(left + 21, y, words, letters);
    left += width(words) + KEY;
  }
}

/**
 * Draws the colours of many layers beside one another, between the names of the first and the last.
 * @param {Pen} pen @param {number} x @param {number} y @param {number} room @param {string[]} names @param {Choice} choice
 * @returns {number} where there is room again
 */
function drawRamp(pen, x, y, room, names, choice) {
  const letters = plainly(choice);
  const width = (/** @type {string} */ words) => pen.wide(words, letters);
  const wide = Math.min(120, room / 4);
  const free = room - wide - 3 * 8;
  const first = fitted(`${names.length} layers: ${choice.named(names[0])}`, free * 0.58, width);
  const last = fitted(choice.named(names[names.length - 1]), free * 0.42, width);
  const left = x + width(first) + 8;
  pen.text(x, y, first, letters);
  names.forEach((name, place) => {
    pen.fill({ x: left + (place * wide) / names.length, y: y - 7, width: wide / names.length, height: 4 }, choice.colour(name));
  });
  pen.text(left + wide + 8, y, last, letters);
  return left + wide + width(last) + 24;
}

// ----------------------------------------------------------------------------------------------------------------- files

/** @param {Item[]} items @param {string} kind; returns the name of a file that holds them */
export function fileName(items, kind) {
  const runs = items.map(({ name }) => name.replace(/[^\p{L}\p{N}_.=-]+/gu, "-").replace(/^[.-]+|[.-]+$/g, "")).filter((name) => name);
  const told = fitted(runs.join("+"), MOST_LETTERS, (words) => words.length).replace("…", "-");
  return ["boundaries", ...(told ? [told] : []), `${items[0].view.step}.${kind}`].join("-");
}

/** @param {Item[]} items @param {Sight} sight; returns what is seen as an SVG file */
export function asSvg(items, sight) {
  const layout = layoutOf(items, sight);
  const pen = new SvgPen(layout.width, layout.height);
  draw(pen, items, sight, layout);
  return new Blob([pen.svg()], { type: "image/svg+xml" });
}

/** @param {Item[]} items @param {Sight} sight @returns {Promise<Blob | null>} what is seen as a PNG file */
export function asPng(items, sight) {
  const layout = layoutOf(items, sight);
  const canvas = document.createElement("canvas");
  canvas.width = layout.width * SCALE;
  canvas.height = layout.height * SCALE;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.scale(SCALE, SCALE);
  draw(new CanvasPen(context), items, sight, layout);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

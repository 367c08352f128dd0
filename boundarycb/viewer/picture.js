// @ts-check
/** The picture to keep: what is seen of each run, with its step, the layers' colours and what the background is. */

import { CanvasPen, straight, SvgPen } from "./pens.js";
import { axesWords, backgroundWords, drawAxes, drawPlot, number } from "./plot.js";

/** @typedef {{ name: string, scene: import("./run.js").Scene, view: import("./run.js").View, choice: import("./plot.js").Choice }} Item */
/** @typedef {import("./plot.js").Sight} Sight */
/** @typedef {import("./pens.js").Pen} Pen */

const SIDE = 560; // the plot's longer side, in CSS pixels
const [PICTURE_LEFT, PICTURE_TOP, PICTURE_BELOW, GAP] = [52, 54, 58, 14];
const MOST_NAMES = 6; // of layers, that stand in a line
const SCALE = 2; // pixels of a PNG by CSS pixel

/** @param {Item[]} items */
function layoutOf(items) {
  let x = 0;
  let height = 0;
  const boxes = items.map(({ scene }) => {
    const [width, high] = scene.ratio >= 1 ? [SIDE, SIDE / scene.ratio] : [SIDE * scene.ratio, SIDE];
    const box = { x: x + PICTURE_LEFT, y: PICTURE_TOP, width: Math.round(width), height: Math.round(high) };
    x = box.x + box.width + GAP;
    height = Math.max(height, box.height);
    return box;
  });
  return { boxes, width: x, height: PICTURE_TOP + height + PICTURE_BELOW };
}

/** @param {Pen} pen @param {Item[]} items @param {Sight} sight */
function draw(pen, items, sight) {
  const { boxes, width, height } = layoutOf(items);
  const { theme } = items[0].choice;
  pen.fill({ x: 0, y: 0, width, height }, theme.plot);
  items.forEach(({ name, scene, view, choice }, place) => {
    const box = boxes[place];
    const scalars = Object.entries(view.header.scalars).slice(0, 2).map(([key, value]) => `${key} ${number(Number(value))}`);
    const words = [items.length > 1 ? name : "", `step ${number(view.step)}`].filter((part) => part).join("  ");
    pen.text(box.x, 20, words, { size: 14, colour: theme.ink, bold: true });
    pen.text(box.x + box.width, 20, scalars.join("   "), { size: 12, colour: theme.ink, align: "right" });
    drawLegend(pen, box.x, 42, box.width, view, choice);
    drawPlot(pen, box, scene, view, sight, choice);
    drawAxes(pen, box, scene, sight, theme);
    const caption = [view.header.exact ? "exact lines" : `lines traced on a ${view.header.resolution}² grid`, backgroundWords(view, choice.background, theme)];
    pen.text(box.x, box.y + box.height + 34, axesWords(scene), { size: 11, colour: theme.faint });
    pen.text(box.x, box.y + box.height + 50, caption.join("   "), { size: 11, colour: theme.faint });
  });
}

/**
 * @param {Pen} pen @param {number} x @param {number} y @param {number} room
 * @param {import("./run.js").View} view @param {import("./plot.js").Choice} choice
 */
function drawLegend(pen, x, y, room, view, choice) {
  const shown = view.layers.filter((layer) => choice.layerShown(layer.name));
  if (shown.length > MOST_NAMES) return drawRamp(pen, x, y, room, shown.map(({ name }) => name), choice);
  const each = Math.min(96, room / Math.max(shown.length, 1));
  const letters = Math.floor((each - 26) / 6.5);
  shown.forEach((layer, place) => {
    const left = x + place * each;
    pen.stroke(straight(left, y - 4, left + Math.min(16, each - 2), y - 4), { colour: choice.colour(layer.name), width: 3 });
    const words = layer.name.length > letters ? `${layer.name.slice(0, Math.max(letters - 1, 0))}…` : layer.name;
    if (letters > 2) pen.text(left + 21, y, words, { size: 12, colour: choice.theme.ink });
  });
}

/** Draws the colours of many layers beside one another, between the names of the first and the last.
 * @param {Pen} pen @param {number} x @param {number} y @param {number} room @param {string[]} names
 * @param {import("./plot.js").Choice} choice
 */
function drawRamp(pen, x, y, room, names, choice) {
  const letters = { size: 12, colour: choice.theme.ink };
  const wide = Math.min(160, room / 3);
  const left = x + room / 3;
  pen.text(left - 8, y, `${names.length} layers: ${names[0]}`, { ...letters, align: "right" });
  names.forEach((name, place) => {
    const at = left + (place * wide) / names.length;
    pen.fill({ x: at, y: y - 7, width: wide / names.length, height: 4 }, choice.colour(name));
  });
  pen.text(left + wide + 8, y, names[names.length - 1], letters);
}

/** @param {Item[]} items @param {Sight} sight; returns what is seen as an SVG file */
export function asSvg(items, sight) {
  const { width, height } = layoutOf(items);
  const pen = new SvgPen(width, height);
  draw(pen, items, sight);
  return new Blob([pen.svg()], { type: "image/svg+xml" });
}

/** @param {Item[]} items @param {Sight} sight @returns {Promise<Blob | null>} what is seen as a PNG file */
export function asPng(items, sight) {
  const { width, height } = layoutOf(items);
  const canvas = document.createElement("canvas");
  canvas.width = width * SCALE;
  canvas.height = height * SCALE;
  const context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
  context.scale(SCALE, SCALE);
  draw(new CanvasPen(context), items, sight);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
}

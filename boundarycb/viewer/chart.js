// @ts-check
/** Curves under the picture: one place across for each sample, as on the slider. */

import { CanvasPen, straight } from "./pens.js";
import { LETTERS, number, steps } from "./plot.js";

/**
 * @typedef {object} Curve
 * @property {string} name in short
 * @property {string} whole
 * @property {string} colour
 * @property {number[]} dash
 * @property {number[]} places of its values across; they grow
 * @property {number[]} values what is not finite breaks the line
 * @property {number[]} broken which of them were taken and are not finite
 */
/** @typedef {import("./palette.js").Theme} Theme */

const FINGER = 8; // pixels that a finger trembles
const MARGIN = 52; // pixels for the numbers at the left

/** @param {Curve} curve @param {number} place; returns its value there, or at its last sample before, in words */
export function valueAt({ places, values, broken }, place) {
  let last = -1;
  while (last + 1 < places.length && places[last + 1] <= place) last++;
  return Number.isFinite(values[last]) || broken.includes(last) ? number(values[last]) : "–";
}

export class Chart {
  /** @param {(place: number) => void} pick takes the place that was clicked */
  constructor(pick) {
    this.canvas = document.createElement("canvas");
    this.canvas.className = "bcb-chart";
    this.canvas.setAttribute("role", "img");
    /** @type {number[]} */
    this.steps = [];
    /** @type {Curve[]} */
    this.curves = [];
    this.logarithmic = false;
    /** @param {PointerEvent} event */
    const choose = (event) => {
      const { left, width } = this.canvas.getBoundingClientRect();
      const share = (event.clientX - left - MARGIN) / Math.max(width - MARGIN - 10, 1);
      pick(Math.round(Math.min(Math.max(share, 0), 1) * (this.steps.length - 1)));
    };
    this.listen(choose);
  }

  /** @param {(event: PointerEvent) => void} choose goes to where the pointer is */
  listen(choose) {
    const { canvas } = this;
    let began = 0; // where a finger came down
    let across = false; // whether it moved along the steps: moved up or down it scrolls the page, and the browser takes it away
    canvas.addEventListener("pointerdown", (event) => {
      [began, across] = [event.clientX, event.pointerType !== "touch"];
      canvas.setPointerCapture(event.pointerId);
      if (across) choose(event);
    });
    canvas.addEventListener("pointermove", (event) => {
      if (!(event.buttons & 1)) return;
      across ||= Math.abs(event.clientX - began) > FINGER;
      if (across) choose(event);
    });
    canvas.addEventListener("pointerup", (event) => {
      if (event.pointerType === "touch") choose(event);
    });
  }

  /**
   * @param {number} place where the marker stands
   * @param {Theme} theme
   */
  draw(place, theme) {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    const ratio = window.devicePixelRatio || 1;
    this.canvas.width = Math.round(width * ratio);
    this.canvas.height = Math.round(height * ratio);
    const context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    context.scale(ratio, ratio);
    const pen = new CanvasPen(context);
    const box = { x: MARGIN, y: 8, width: width - MARGIN - 10, height: height - 30 };
    const across = (/** @type {number} */ k) => box.x + (this.steps.length > 1 ? k / (this.steps.length - 1) : 0.5) * box.width;
    const scale = this.scale(box);
    for (const { value, words } of scale.ticks) {
      const y = scale.at(value);
      pen.stroke(straight(box.x, y, box.x + box.width, y), { colour: theme.rule, width: 1 });
      pen.text(box.x - 6, y + 4, words, { size: LETTERS, colour: theme.faint, align: "right" });
    }
    this.drawSteps(pen, box, across, theme);
    for (const curve of this.curves) this.drawCurve(pen, curve, across, scale.at, box.y);
    const x = across(place);
    pen.stroke(straight(x, box.y, x, box.y + box.height), { colour: theme.ink, width: 1.5 });
    for (const curve of this.curves) {
      const y = scale.at(curve.values[curve.places.indexOf(place)]);
      if (Number.isFinite(y)) pen.dot(x, y, 3.5, curve.colour, theme.plot);
    }
  }

  /** @param {import("./pens.js").Box} box; returns where values stand, and which are named */
  scale(box) {
    const finite = this.curves.flatMap(({ values }) => values).filter((value) => Number.isFinite(value));
    const logarithmic = this.logarithmic && finite.some((value) => value > 0);
    const told = logarithmic ? finite.filter((value) => value > 0).map(Math.log10) : finite;
    let low = told.reduce((a, b) => Math.min(a, b), Infinity);
    let high = told.reduce((a, b) => Math.max(a, b), -Infinity);
    if (low > high) [low, high] = [0, 1];
    if (low === high) [low, high] = [low - (Math.abs(low) || 1) / 2, high + (Math.abs(high) || 1) / 2];
    const pad = 0.06 * (high - low);
    [low, high] = [low - pad, high + pad];
    const at = (/** @type {number} */ value) => {
      const place = logarithmic ? (value > 0 ? Math.log10(value) : NaN) : value;
      return box.y + (1 - (place - low) / (high - low)) * box.height;
    };
    const ticks = steps(low, high - low, Math.max(2, box.height / 28));
    if (!logarithmic) return { at, ticks: ticks.map(({ value, words }) => ({ value, words: words.length > 7 ? number(value) : words })) };
    const powers = ticks.map(({ value }) => 10 ** value);
    return { at, ticks: powers.map((value) => ({ value, words: number(value) })) };
  }

  /** @param {CanvasPen} pen @param {import("./pens.js").Box} box @param {(k: number) => number} across @param {Theme} theme */
  drawSteps(pen, box, across, theme) {
    for (const place of named(this.steps.length, Math.max(2, Math.floor(box.width / 90)))) {
      const x = across(place);
      const align = this.steps.length > 1 && place === 0 ? "left" : place === this.steps.length - 1 && place > 0 ? "right" : "center";
      pen.text(x, box.y + box.height + 16, number(this.steps[place]), { size: LETTERS, colour: theme.faint, align });
    }
  }

  /** @param {CanvasPen} pen @param {Curve} curve @param {(k: number) => number} across @param {(value: number) => number} at @param {number} top */
  drawCurve(pen, curve, across, at, top) {
    let down = false;
    const trace = (/** @type {import("./pens.js").Path} */ path) => {
      curve.values.forEach((value, k) => {
        const y = at(value);
        if (!Number.isFinite(y)) {
          down = false;
          return;
        }
        if (down) path.lineTo(across(curve.places[k]), y);
        else path.moveTo(across(curve.places[k]), y);
        down = true;
      });
    };
    pen.stroke(trace, { colour: curve.colour, width: 1.6, dash: curve.dash });
    for (const k of curve.broken) pen.stroke(cross(across(curve.places[k]), top), { colour: curve.colour, width: 1.4 });
    curve.values.forEach((value, k) => {
      const alone = !Number.isFinite(curve.values[k - 1] ?? NaN) && !Number.isFinite(curve.values[k + 1] ?? NaN);
      if (alone && Number.isFinite(at(value))) pen.dot(across(curve.places[k]), at(value), 2, curve.colour, curve.colour);
    });
  }
}

/**
 * Returns which samples have their step named, `most` at most: the first, every second, fifth or tenth one and so on, and the last.
 * @param {number} count @param {number} most @returns {number[]}
 */
function named(count, most) {
  const [last, places] = [count - 1, /** @type {number[]} */ ([])];
  let stride = 1;
  for (let k = 0; Math.floor(last / stride) + 1 > most; k++) stride = [2, 5, 10][k % 3] * 10 ** Math.floor(k / 3);
  for (let place = 0; place + stride <= last; place += stride) places.push(place);
  return count ? [...places, last] : [];
}

/** Traces a small cross: here the value was not finite. @param {number} x @param {number} y */
function cross(x, y) {
  const arm = 3;
  return (/** @type {import("./pens.js").Path} */ path) => {
    straight(x - arm, y - arm, x + arm, y + arm)(path);
    straight(x - arm, y + arm, x + arm, y - arm)(path);
  };
}

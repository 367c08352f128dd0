// @ts-check
/** A plot on the page: a canvas that is drawn anew when something changes, and what pointers and keys do on it. */

import { scalarWords } from "./caption.js";
import { make, say } from "./dom.js";
import { Legend, steady } from "./legend.js";
import { CanvasPen } from "./pens.js";
import { drawAxes, drawPlot, keyAt, liveUnits, nearestUnit, number, Window, zoomed, kept } from "./plot.js";

/** @typedef {import("./run.js").Run} Run */
/** @typedef {import("./run.js").View} View */
/** @typedef {import("./plot.js").Choice} Choice */
/** @typedef {import("./plot.js").Sight} Sight */

/**
 * What a panel tells of.
 * @typedef {object} Listener
 * @property {() => Sight} sight
 * @property {(sight: Sight) => void} look
 * @property {(key: string, on: Element) => void} hover the unit under the pointer, or empty
 * @property {(key: string) => void} pin
 */

const [LEFT, BELOW, ABOVE] = [58, 22, 4]; // pixels for the numbers along the sides: −0.0025 stands there whole
const [REACH, FINGERS_REACH] = [7, 16]; // pixels from a line within which a pointer means it: a finger hides what it points at
const PINCH = 8; // how much more a pinch on a trackpad means than the wheel that browsers make of it
const STILL = 4; // pixels that a pointer may move and still click

export class Panel {
  /**
   * @param {Run} run
   * @param {string} layer the one that is shown; empty for all
   * @param {Listener} listener
   */
  constructor(run, layer, listener) {
    this.run = run;
    this.layer = layer;
    this.listener = listener;
    /** @type {View | null} */
    this.view = null;
    /** @type {Choice | null} */
    this.choice = null;
    this.canvas = make("canvas", { class: "bcb-plot", role: "img", tabIndex: 0 });
    this.legend = layer ? null : new Legend();
    this.title = this.legend?.title ?? make("figcaption", {});
    const below = this.legend ? [this.legend.classes, this.legend.caption] : [];
    this.element = make("figure", { class: layer ? "bcb-panel bcb-small" : "bcb-panel" }, this.title, this.canvas, ...below);
    this.element.style.setProperty("--ratio", String(run.scene.ratio));
    /** @type {Map<number, PointerEvent>} */
    this.pointers = new Map();
    this.moved = 0;
    this.listen();
  }

  /** Returns where the plot is on the canvas, in CSS pixels. */
  box() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (this.layer) return { x: 0, y: 0, width, height };
    return { x: LEFT, y: ABOVE, width: Math.max(width - LEFT - 2, 1), height: Math.max(height - BELOW - ABOVE, 1) };
  }

  /** Makes the canvas as high as its width asks for: one length of input space is as long across as up. */
  fit() {
    const width = this.canvas.clientWidth;
    const { ratio } = this.run.scene;
    const height = this.layer ? width / ratio : (width - LEFT - 2) / ratio + BELOW + ABOVE;
    this.canvas.style.height = `${Math.max(Math.round(height), 1)}px`;
  }

  /**
   * @param {View} view
   * @param {Choice} choice
   */
  draw(view, choice) {
    this.view = view;
    this.choice = choice;
    this.fit();
    const { clientWidth: width, clientHeight: height } = this.canvas;
    if (!width || !height) return;
    const ratio = window.devicePixelRatio || 1;
    const [wide, high] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (this.canvas.width !== wide || this.canvas.height !== high) {
      this.canvas.width = wide;
      this.canvas.height = high;
    }
    const context = /** @type {CanvasRenderingContext2D} */ (this.canvas.getContext("2d"));
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    const pen = new CanvasPen(context);
    const sight = this.listener.sight();
    this.canvas.style.touchAction = sight.zoom > 1 ? "none" : "pan-y"; // a finger scrolls the page as long as there is nothing to move
    drawPlot(pen, this.box(), this.run.scene, view, sight, choice);
    if (!this.layer) drawAxes(pen, this.box(), this.run.scene, sight, choice.theme);
    this.describe(view);
  }

  /** @param {View} view */
  describe(view) {
    const { all, live } = liveUnits(view);
    const said = [`step ${number(view.step)}`, ...scalarWords(view, Infinity)];
    const where = this.layer ? `layer ${this.layer}` : `${all} units, ${live} with a boundary here`;
    this.canvas.setAttribute("aria-label", `${this.run.name}, ${said.join(", ")}: ${where}`);
  }

  /** Says which layer a small plot shows. @param {string} words its short name */
  name(words) {
    say(this.title, words);
    steady(this.title);
    this.title.title = this.layer;
  }

  // ---------------------------------------------------------------------------------------------------- pointers and keys

  listen() {
    const { canvas } = this;
    canvas.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    canvas.addEventListener("pointerdown", (event) => this.press(event));
    canvas.addEventListener("pointermove", (event) => this.move(event));
    canvas.addEventListener("pointerup", (event) => this.release(event));
    canvas.addEventListener("pointercancel", (event) => this.pointers.delete(event.pointerId));
    canvas.addEventListener("pointerleave", () => this.listener.hover("", canvas));
    canvas.addEventListener("dblclick", () => this.listener.look({ x: 0.5, y: 0.5, zoom: 1 }));
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  /** @param {{ clientX: number, clientY: number }} event; returns the place on the canvas */
  place(event) {
    const { left, top } = this.canvas.getBoundingClientRect();
    return { px: event.clientX - left, py: event.clientY - top };
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    const { px, py } = this.place(event);
    const sight = this.listener.sight();
    const window = new Window(sight, this.box());
    const size = (event.deltaMode === 1 ? 16 : 1) * (event.ctrlKey ? PINCH : 1);
    const next = zoomed(sight, window.x(px), window.y(py), Math.exp(-event.deltaY * size * 0.0025));
    if (next.zoom === sight.zoom) return; // the page scrolls where there is nothing to enlarge or to reduce
    event.preventDefault();
    this.listener.look(next);
  }

  /** @param {PointerEvent} event */
  press(event) {
    if (event.button) return;
    this.canvas.setPointerCapture(event.pointerId);
    this.pointers.set(event.pointerId, event);
    if (this.pointers.size === 1) this.moved = 0;
  }

  /** @param {PointerEvent} event */
  move(event) {
    const before = this.pointers.get(event.pointerId);
    if (!before) {
      if (event.pointerType !== "touch") this.listener.hover(this.unitUnder(event), this.canvas);
      return;
    }
    const others = [...this.pointers.values()].filter((pointer) => pointer.pointerId !== event.pointerId);
    const box = this.box();
    let sight = this.listener.sight();
    const [dx, dy] = [event.clientX - before.clientX, event.clientY - before.clientY];
    this.moved += Math.hypot(dx, dy);
    if (others.length) {
      const distance = (/** @type {PointerEvent} */ one) => Math.hypot(one.clientX - others[0].clientX, one.clientY - others[0].clientY);
      const { px, py } = this.place({ clientX: (event.clientX + others[0].clientX) / 2, clientY: (event.clientY + others[0].clientY) / 2 });
      const window = new Window(sight, box);
      sight = zoomed(sight, window.x(px), window.y(py), distance(event) / Math.max(distance(before), 1));
    }
    const share = 1 / (sight.zoom * (others.length ? 2 : 1));
    sight = kept({ ...sight, x: sight.x - (dx / box.width) * share, y: sight.y + (dy / box.height) * share });
    this.pointers.set(event.pointerId, event);
    if (this.moved > STILL) this.listener.look(sight);
  }

  /** @param {PointerEvent} event */
  release(event) {
    const pressed = this.pointers.delete(event.pointerId);
    if (!pressed || this.pointers.size || this.moved > STILL) return;
    const key = this.unitUnder(event);
    if (key) this.listener.pin(key);
  }

  /** @param {PointerEvent} event; returns the key of the unit whose boundary is there; empty where none is */
  unitUnder(event) {
    if (!this.view || !this.choice) return "";
    const { px, py } = this.place(event);
    const reach = event.pointerType === "touch" ? FINGERS_REACH : REACH;
    const column = nearestUnit(this.box(), this.view, this.listener.sight(), this.choice, px, py, reach);
    return column < 0 ? "" : keyAt(this.view, column);
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const sight = this.listener.sight();
    const pace = 0.1 / sight.zoom;
    /** @type {Record<string, Sight>} */
    const moves = {
      "+": zoomed(sight, sight.x, sight.y, 1.5),
      "=": zoomed(sight, sight.x, sight.y, 1.5),
      "-": zoomed(sight, sight.x, sight.y, 1 / 1.5),
      0: { x: 0.5, y: 0.5, zoom: 1 },
    };
    /** @type {Record<string, [number, number]>} */
    const shifts = { ArrowLeft: [-pace, 0], ArrowRight: [pace, 0], ArrowUp: [0, pace], ArrowDown: [0, -pace] };
    const shift = event.shiftKey ? shifts[event.key] : undefined;
    const next = shift ? kept({ ...sight, x: sight.x + shift[0], y: sight.y + shift[1] }) : moves[event.key];
    if (!next) return;
    event.preventDefault();
    event.stopPropagation();
    this.listener.look(next);
  }
}

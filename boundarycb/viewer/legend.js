// @ts-check
/** What stands around a run's plots on the page: its step and numbers above them, classes and what the plots show below them. */

import { captionOf, swatchesOf } from "./caption.js";
import { make, say } from "./dom.js";
import { shortNames } from "./names.js";

/** @typedef {import("./run.js").Scene} Scene */
/** @typedef {import("./run.js").View} View */
/** @typedef {import("./plot.js").Choice} Choice */

const CLASS_LETTERS = 22; // of a class's name

export class Legend {
  constructor() {
    this.shown = "";
    this.title = make("figcaption", {});
    this.classes = make("div", { class: "bcb-classes" });
    this.notes = make("span", { class: "bcb-note" });
    this.plain = make("span", {});
    this.caption = make("p", { class: "bcb-caption" }, this.notes, this.plain);
  }

  /**
   * @param {string} title @param {Scene} scene @param {View} view @param {Choice} choice
   * @param {import("./plot.js").Background} wanted the background that was chosen @param {number} zoom
   */
  update(title, scene, view, choice, wanted, zoom) {
    say(this.title, title);
    steady(this.title);
    this.showClasses(scene, view, choice);
    const { plain, notes, wrong } = captionOf(scene, view, choice, wanted, zoom);
    say(this.notes, notes.join(" · "));
    this.notes.classList.toggle("bcb-wrong", wrong);
    say(this.plain, plain.join(" · "));
    steady(this.caption);
  }

  /** Shows which colour is which class. @param {Scene} scene @param {View} view @param {Choice} choice */
  showClasses(scene, view, choice) {
    const swatches = swatchesOf(scene, view, choice.background, choice.theme);
    const said = JSON.stringify(swatches);
    if (this.shown === said) return;
    this.shown = said;
    const named = shortNames(swatches.map(({ name }) => name), CLASS_LETTERS);
    const keys = swatches.map(({ colour, name, here }) => {
      const swatch = make("span", { class: "bcb-class" });
      swatch.style.background = colour;
      return make("span", { class: here ? "bcb-key" : "bcb-key bcb-absent", title: name }, swatch, named.get(name) ?? name);
    });
    this.classes.replaceChildren(...keys);
    steady(this.classes);
  }
}

/** The legend of a run whose layers lie side by side: a line above their plots and a few below. */
export class SharedLegend extends Legend {
  constructor() {
    super();
    this.above = make("figure", { class: "bcb-around" }, this.title);
    this.below = make("figure", { class: "bcb-around" }, this.classes, this.caption);
  }
}

/**
 * Keeps an element as high as it ever was at this width: what stands below does not move while a run plays.
 * @param {HTMLElement} element
 */
export function steady(element) {
  const { dataset, style, textContent } = element;
  const width = String(element.clientWidth);
  if (dataset.said === textContent && dataset.width === width) return;
  if (dataset.width !== width) style.minHeight = "";
  Object.assign(dataset, { said: textContent, width });
  style.minHeight = `${Math.max(Number.parseFloat(style.minHeight) || 0, element.getBoundingClientRect().height)}px`;
}

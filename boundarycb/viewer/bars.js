// @ts-check
/** The bars around the plots: what is shown and how, and the slider over the steps. */

import { button, chooser, make, say, ticked } from "./dom.js";
import { has, number } from "./plot.js";
import { BACKGROUNDS, SPEEDS, TRAILS } from "./state.js";

/** @typedef {import("./state.js").State} State */
/** @typedef {import("./sidebar.js").Shown} Shown */

/**
 * What a reader does here.
 * @typedef {object} BarActs
 * @property {(act: (state: State) => void) => void} change
 * @property {() => void} whole shows the whole slice
 * @property {(kind: "png" | "svg") => void} keep saves the picture
 * @property {(() => void) | null} share copies an address; null where there is none
 * @property {() => void} shade changes light and dark
 * @property {() => void} help
 */

const BACKGROUND = "Background";
const LONG = 1e6; // steps from here on are written in a shorter way

/** What is shown, and how. */
export class ChoiceBar {
  /** @param {BarActs} acts */
  constructor(acts) {
    this.background = chooser(BACKGROUND, BACKGROUNDS, (value) => acts.change((state) => (state.background = /** @type {any} */ (value))));
    this.arrangement = chooser("Layers", [["together", "In one plot"], ["layers", "Side by side"]], (value) =>
      acts.change((state) => (state.arrangement = /** @type {any} */ (value))),
    );
    const lengths = /** @type {[string, string][]} */ (TRAILS.map((count) => [String(count), count ? `${count} samples` : "None"]));
    this.trail = chooser("Trail", lengths, (value) => acts.change((state) => (state.trail = Number(value))));
    this.trail.label.title = "Where a pinned unit's boundary was at the samples before";
    this.border = ticked("Decision", (on) => acts.change((state) => (state.border = on)));
    this.border.label.title = "Where the winning class changes";
    this.marks = ticked("Data", (on) => acts.change((state) => (state.marks = on)));
    this.shade = button("Dark", acts.shade, { title: "Light or dark" });
    this.element = make(
      "div",
      { class: "bcb-bar" },
      this.background.label,
      this.arrangement.label,
      this.trail.label,
      this.border.label,
      this.marks.label,
      make(
        "div",
        { class: "bcb-buttons" },
        button("Whole slice", acts.whole, { title: "Zoom out (0, or a double click)" }),
        button("PNG", () => acts.keep("png"), { title: "Save the picture as PNG" }),
        button("SVG", () => acts.keep("svg"), { title: "Save the picture as SVG" }),
        acts.share ? button("Link", acts.share, { title: "Copy an address that shows just this" }) : null,
        this.shade,
        button("Help", acts.help),
      ),
    );
  }

  /** @param {State} state @param {Shown[]} shown @param {boolean} dark */
  update(state, shown, dark) {
    this.background.select.value = state.background;
    for (const option of this.background.select.options) {
      option.disabled = shown.length > 0 && !shown.some(({ run, view }) => has(run.scene, view, /** @type {any} */ (option.value)));
    }
    this.arrangement.select.value = state.arrangement;
    this.trail.select.value = String(state.trail);
    this.border.input.checked = state.border;
    this.marks.input.checked = state.marks;
    this.border.label.hidden = !shown.some(({ view }) => view.border);
    this.marks.label.hidden = !shown.some(({ run }) => run.scene.marks || run.scene.anchors?.length);
    say(this.shade, dark ? "Light" : "Dark");
  }
}

/**
 * What a reader does with the slider.
 * @typedef {object} StepActs
 * @property {(place: number) => void} go
 * @property {(by: number) => void} move
 * @property {() => void} play
 * @property {(act: (state: State) => void) => void} change
 */

/** The slider over the steps, with its buttons. */
export class Transport {
  /** @param {StepActs} acts */
  constructor(acts) {
    this.player = button("Play", acts.play, { class: "bcb-play", title: "Play or stop (space)" });
    this.slider = make("input", { type: "range", min: "0", max: "0", step: "1", "aria-label": "step" });
    this.slider.addEventListener("input", () => acts.go(Number(this.slider.value)));
    this.words = make("span", { class: "bcb-step" });
    this.count = make("span", { class: "bcb-count" });
    const speeds = /** @type {[string, string][]} */ (SPEEDS.map((speed) => [String(speed), `${speed} / s`]));
    this.speed = chooser("Speed", speeds, (value) => acts.change((state) => (state.speed = Number(value))));
    this.before = button("‹", () => acts.move(-1), { "aria-label": "sample before", title: "Sample before (left arrow)" });
    this.after = button("›", () => acts.move(1), { "aria-label": "next sample", title: "Next sample (right arrow)" });
    const parts = [this.player, this.before, this.slider, this.after, this.words, this.count, this.speed.label];
    this.element = make("div", { class: "bcb-transport", role: "group", "aria-label": "Steps" }, ...parts);
  }

  /** @param {State} state @param {number[]} steps @param {number} place @param {boolean} playing */
  update(state, steps, place, playing) {
    say(this.player, playing ? "Stop" : "Play");
    this.speed.select.value = String(state.speed);
    for (const control of [this.player, this.before, this.after]) control.disabled = steps.length < 2;
    this.slider.max = String(Math.max(steps.length - 1, 0));
    this.slider.value = String(place);
    this.slider.setAttribute("aria-valuetext", `step ${number(steps[place] ?? 0)}, sample ${place + 1} of ${steps.length}`);
    say(this.words, steps.length ? `step ${number(steps[place])}` : "");
    const widest = Math.max(...[...steps.slice(-1), ...steps.filter((step) => step < LONG).slice(-1)].map((step) => number(step).length), 0);
    this.words.style.minWidth = `${widest + "step ".length}ch`; // so that what stands beside it stays where it is
    this.count.style.minWidth = `${2 * number(steps.length).length + " of ".length}ch`;
    this.words.title = `sample ${place + 1} of ${steps.length}`;
    say(this.count, steps.length ? `${number(place + 1)} of ${number(steps.length)}` : "");
  }
}

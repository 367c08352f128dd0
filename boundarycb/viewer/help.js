// @ts-check
/** What the viewer shows and which keys it takes, in words, for who asks. */

import { button, make } from "./dom.js";

const SEEN = [
  "Each line is a unit's boundary: the unit is on at one side of it and off at the other. Colours are layers. The thick line in black, or in white on a dark page, is where the winning class changes.",
  "Click a line to pin its unit: short strokes stand on the side where it is on, faint lines are where it was at the samples before, and beside the plot stands what metrics say of it.",
  "The axis of the curve has one place for each sample, as the slider has, so steps that were sampled densely take more room. Click it to go there. A cross at its upper edge is a value that is not finite.",
  "The output behind the lines was sampled on a grid; lines are vectors, and stay true to × 1,000 where they are exact.",
];

const KEYS = /** @type {[string, string][]} */ ([
  ["← →", "sample before, next sample"],
  ["Home End", "first sample, last sample"],
  ["Space", "play, stop"],
  ["+ −", "faster, slower; on a plot: closer, farther"],
  ["0", "on a plot: the whole slice, as a double click"],
  ["Shift ← → ↑ ↓", "on a plot: move it"],
  ["Esc", "let go of all pinned units"],
]);

/** Opens the dialog at its beginning; it would be scrolled to what takes the focus, at its end. @param {HTMLDialogElement} dialog */
export function showHelp(dialog) {
  dialog.showModal();
  dialog.scrollTop = 0;
}

/** Returns the dialog; `showHelp` opens it. */
export function makeHelp() {
  const keys = KEYS.flatMap(([key, words]) => [make("dt", {}, key), make("dd", {}, words)]);
  const close = button("Close", () => dialog.close(), { class: "bcb-play" });
  const dialog = make(
    "dialog",
    { class: "bcb-help", "aria-label": "Help" },
    make("h2", {}, "What this shows"),
    ...SEEN.map((words) => make("p", {}, words)),
    make("h2", {}, "Keys"),
    make("dl", { class: "bcb-facts" }, ...keys),
    close,
  );
  dialog.addEventListener("keydown", (event) => event.stopPropagation());
  return dialog;
}

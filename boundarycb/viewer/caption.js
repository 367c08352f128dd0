// @ts-check
/** What is said of a plot: how its lines were found, what its background is, and which colour is which class. */

import { classColour, css } from "./palette.js";
import { number } from "./plot.js";
import { numberOf } from "./run.js";

/** @typedef {import("./run.js").View} View */
/** @typedef {import("./run.js").Scene} Scene */
/** @typedef {import("./palette.js").Theme} Theme */
/** @typedef {import("./plot.js").Background} Background */

const MOST_CLASSES = 24; // that a legend names

/**
 * Returns what stands below a plot, and apart from it what was left out or is wrong.
 * @param {Scene} scene @param {View} view @param {import("./plot.js").Choice} choice
 * @param {Background} wanted the background that was chosen; this run may have none such @param {number} zoom
 * @returns {{ plain: string[], notes: string[], wrong: boolean }} wrong: whether the notes say that numbers are broken
 */
export function captionOf(scene, view, choice, wanted, zoom) {
  const { header } = view;
  const traced = `on a ${header.resolution}² grid`;
  const border = header.exact && header.decision && !header.decision.exact ? `, decision traced ${traced}` : "";
  const lines = header.exact ? `exact lines${border}` : `lines traced ${traced}`;
  const mode = header.mode === "eval" ? "eval mode" : "modes as they are";
  const ground = choice.background !== wanted ? "this run has no such background" : backgroundWords(view, choice.background, choice.theme);
  const closer = zoom > 1 ? [`× ${number(zoom)}`] : [];
  const held = scene.held ? [scene.held] : [];
  return { plain: [axesWords(scene), ...held, lines, mode, ground, ...closer], notes: header.notes.map((/** @type {string} */ note) => note.replaceAll("`", "")), wrong: Boolean(header.broken) };
}

/** @param {View} view @param {number} most; returns the first numbers of a sample, in words */
export function scalarWords(view, most) {
  return Object.entries(view.header.scalars).slice(0, most).map(([name, value]) => `${name} ${number(numberOf(value))}`);
}

/**
 * Returns in words what a background is.
 * @param {View} view @param {Background} background @param {Theme} theme
 */
function backgroundWords(view, background, theme) {
  const { said, header } = view;
  if (background === "none") return "no background";
  if (background === "target") return "target";
  if (background === "count") {
    const [none, all] = theme.dark ? ["dark", "light"] : ["light", "dark"];
    return `units that are on: ${none} 0 … ${all} ${view.starts[view.starts.length - 1]}`;
  }
  if (!said) return "no output";
  const grid = `sampled at ${header.resolution}²`;
  const shades = background === "regions" ? "" : ` (${theme.dark ? "darker" : "paler"}: less sure)`;
  if (said.kind === "classes") return `winner of ${said.classes} ${said.sigmoids ? "sigmoid outputs" : "classes"}${shades}, ${grid}`;
  const one = said.names.length > 1 ? said.names[1] : "class 1";
  const what = said.kind === "probability" ? `p(${one})` : said.what;
  if (background === "regions") return `where ${one} wins, ${grid}`;
  if (view.field?.values.every((level) => !level)) return `${what}: nowhere finite, ${grid}`;
  return `${what}: dark ${number(said.low)} … light ${number(said.high)}, ${grid}`;
}

/** @param {Scene} scene; returns what the axes are */
function axesWords({ names }) {
  return `→ ${names[0]}, ↑ ${names[1]}`;
}

/**
 * Returns the colours that a background has, with the names of what they are. All classes are named, as many as a legend takes, so that
 * it does not change from sample to sample; of more those that win here.
 * @param {Scene} scene @param {View} view @param {Background} background @param {Theme} theme
 * @returns {{ colour: string, name: string, here: boolean }[]} here: whether any point has this colour
 */
export function swatchesOf(scene, view, background, theme) {
  const names = view.said?.names ?? [];
  const classes = classesOf(scene, view, background).map(({ place, here }) => ({
    colour: css(classColour(place, 0.8, theme)),
    name: names[place] ?? String(place),
    here,
  }));
  const broken = (background === "output" || background === "regions") && view.field?.values.includes(0);
  return [...classes, ...(broken ? [{ colour: css(theme.undefined), name: "not finite", here: true }] : [])];
}

/** @param {Scene} scene @param {View} view @param {Background} background @returns {{ place: number, here: boolean }[]} */
function classesOf(scene, view, background) {
  const { said } = view;
  if (background === "target") return foundIn(scene.target?.values ?? []).map((place) => ({ place, here: true }));
  if (background !== "output" && background !== "regions") return [];
  if (background === "regions" && said?.kind === "probability") return [0, 1].map((place) => ({ place, here: true }));
  if (said?.kind !== "classes") return [];
  const levels = view.field?.values; // where the output is not finite nothing wins, whatever is written there
  const found = foundIn([...(view.winner?.values ?? [])].filter((_, k) => levels?.[k] !== 0));
  if (said.classes > MOST_CLASSES) return found.map((place) => ({ place, here: true }));
  return Array.from({ length: said.classes }, (_, place) => ({ place, here: found.includes(place) }));
}

/** @param {Iterable<number>} values; returns the classes among them, in their order, as many as a legend takes */
function foundIn(values) {
  return [...new Set(values)].filter((place) => place >= 0).sort((one, other) => one - other).slice(0, MOST_CLASSES);
}

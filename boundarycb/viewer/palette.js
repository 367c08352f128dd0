// @ts-check
/**
 * Colours, for a light and a dark page. Layers' are after Okabe and Ito's ("Color Universal Design", 2008), with some that stand out
 * from the backgrounds too, and from the ink of the border between classes; more than five layers are steps of one ramp.
 */

/** @typedef {[number, number, number]} Rgb */

/**
 * @typedef {object} Theme
 * @property {boolean} dark
 * @property {string} plot what an empty plot is filled with
 * @property {string} ink
 * @property {string} faint
 * @property {string} alarm what is wrong, in words
 * @property {string} rule
 * @property {string} halo behind lines that stand out
 * @property {Rgb} low the output's darkest tone
 * @property {Rgb} high and its lightest
 * @property {Rgb} undefined where the output is not finite
 * @property {string[]} few
 * @property {Rgb[]} ramp
 * @property {Rgb[]} counts
 */

/** @type {Theme} */
const LIGHT = {
  dark: false,
  plot: "#ffffff",
  ink: "#20232a",
  faint: "#5d626b",
  alarm: "#b3261e",
  rule: "#d5d8de",
  halo: "rgba(255, 255, 255, .92)",
  low: [168, 168, 168],
  high: [252, 252, 252],
  undefined: [246, 201, 203],
  few: ["#1F6FD0", "#D55E00", "#006837", "#A03C92", "#5A0FC8"],
  ramp: [[41, 0, 70], [0, 60, 211], [57, 150, 185], [108, 147, 96], [174, 133, 1], [130, 0, 11], [169, 13, 103]],
  counts: [[252, 252, 250], [214, 226, 228], [168, 199, 207], [124, 168, 184], [92, 137, 161]],
};

/** @type {Theme} */
const DARK = {
  dark: true,
  plot: "#15171c",
  ink: "#e9ebf0",
  faint: "#a4a9b4",
  alarm: "#ff9b92",
  rule: "#3a3e47",
  halo: "rgba(16, 18, 22, .92)",
  low: [21, 23, 28],
  high: [98, 102, 110],
  undefined: [110, 40, 46],
  few: ["#749DFF", "#FB904E", "#3FD998", "#E192CF", "#FFDB42"],
  ramp: [[186, 123, 244], [127, 163, 214], [49, 252, 255], [118, 254, 126], [217, 218, 41], [223, 136, 46], [250, 111, 140]],
  counts: [[24, 27, 33], [34, 49, 62], [43, 73, 92], [55, 98, 120], [78, 126, 148]],
};

/** Colours of classes; twenty of them, which then repeat. @type {Rgb[]} */
const CLASSES = [
  [158, 202, 233], [255, 191, 121], [152, 223, 138], [242, 166, 165], [207, 182, 230],
  [214, 181, 166], [247, 198, 221], [201, 201, 201], [222, 222, 140], [166, 224, 232],
  [79, 184, 160], [127, 171, 240], [229, 139, 191], [147, 174, 138], [95, 208, 230],
  [180, 157, 108], [229, 146, 108], [155, 147, 220], [195, 224, 122], [143, 220, 188],
];

/** @param {boolean} dark */
export function themeOf(dark) {
  return dark ? DARK : LIGHT;
}

/**
 * Returns the colours of layers by their names. A few have colours of their own; more are placed on the ramp by how deep they lie, on
 * average over the runs that have them, so that each run goes from end to end of it, whatever layers the others have.
 * @param {string[][]} stacks the names of each run's layers, in depth order
 * @param {Theme} theme
 * @returns {Map<string, string>}
 */
export function layerColours(stacks, theme) {
  const names = [...new Set(stacks.flat())];
  if (names.length <= theme.few.length) return new Map(names.map((name, place) => [name, theme.few[place]]));
  const depths = depthsOf(stacks);
  return new Map(names.map((name) => [name, css(along(theme.ramp, depths.get(name) ?? 0))]));
}

/** @param {string[][]} stacks; returns how deep each layer lies, 0 to 1: no two of a run alike */
function depthsOf(stacks) {
  /** @type {Map<string, number[]>} */
  const found = new Map();
  for (const names of stacks) {
    names.forEach((name, place) => {
      const depth = names.length > 1 ? place / (names.length - 1) : 0;
      found.set(name, [...(found.get(name) ?? []), depth]);
    });
  }
  const means = new Map([...found].map(([name, depths]) => [name, depths.reduce((sum, depth) => sum + depth, 0) / depths.length]));
  const told = (/** @type {string[]} */ names) => new Set(names.map((name) => Math.round(100 * (means.get(name) ?? 0)))).size === names.length;
  if (stacks.every((names) => names.length > 50 || told(names))) return means;
  const sorted = [...means].sort(([, one], [, other]) => one - other); // runs that have the same layers in other orders
  return new Map(sorted.map(([name], place) => [name, place / Math.max(sorted.length - 1, 1)]));
}

/**
 * Returns the colour of a class, faint or full.
 * @param {number} number
 * @param {number} strength 0 to 1
 * @param {Theme} theme
 * @returns {Rgb}
 */
export function classColour(number, strength, theme) {
  const hue = CLASSES[number % CLASSES.length];
  if (!theme.dark) return mixed([255, 255, 255], hue, strength);
  return mixed([21, 23, 28], /** @type {Rgb} */ (hue.map((part) => part * 0.55)), strength);
}

/**
 * Returns the colour at `share` of a ramp, 0 to 1.
 * @param {Rgb[]} ramp
 * @param {number} share
 * @returns {Rgb}
 */
export function along(ramp, share) {
  const place = Math.min(Math.max(share, 0), 1) * (ramp.length - 1);
  const low = Math.min(Math.floor(place), ramp.length - 2);
  return mixed(ramp[low], ramp[low + 1], place - low);
}

/** @param {Rgb} one @param {Rgb} other @param {number} share of the other @returns {Rgb} */
export function mixed(one, other, share) {
  return /** @type {Rgb} */ (one.map((part, k) => part + (other[k] - part) * share));
}

/** @param {Rgb} colour */
export function css(colour) {
  return `rgb(${colour.map(Math.round).join(", ")})`;
}

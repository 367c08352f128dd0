// @ts-check
/** What a reader has chosen, and the same as the end of an address, so that it can be sent to others. */

/** @typedef {import("./plot.js").Background} Background */
/** @typedef {import("./plot.js").Sight} Sight */

export const BACKGROUNDS = /** @type {[Background, string][]} */ ([
  ["output", "Output"],
  ["regions", "Decision regions"],
  ["target", "Target"],
  ["count", "Units that are on"],
  ["none", "None"],
]);

export const SPEEDS = [2, 5, 10, 20, 40]; // samples a second

export const TRAILS = [0, 4, 8, 16]; // samples

/** @typedef {"together" | "layers"} Arrangement */

/** What is chosen. */
export class State {
  constructor() {
    /** @type {string[] | null} keys of runs; null until some are chosen */
    this.runs = null;
    /** @type {number | null} the step that is shown; null for the last one, which a growing run moves */
    this.step = null;
    /** @type {Background} */
    this.background = "output";
    /** @type {Arrangement} */
    this.arrangement = "together";
    /** @type {Set<string>} names of layers */
    this.hiddenLayers = new Set();
    /** @type {Set<string>} keys of units */
    this.hiddenUnits = new Set();
    /** @type {string[]} keys of units */
    this.pinned = [];
    /** @type {Sight} */
    this.sight = { x: 0.5, y: 0.5, zoom: 1 };
    this.curve = "";
    this.logarithmic = false;
    this.trail = 8;
    this.marks = true;
    this.border = true;
    this.speed = 10;
    /** @type {boolean | null} null as the page around is */
    this.dark = null;
  }

  /** Plays faster or slower. @param {number} by places in the list of speeds */
  hurry(by) {
    const place = SPEEDS.indexOf(this.speed) + by;
    this.speed = SPEEDS[Math.min(Math.max(place, 0), SPEEDS.length - 1)];
  }

  /** Returns the end of an address that says all of it. What is as at first is left out. */
  fragment() {
    const first = new State();
    const said = new URLSearchParams();
    if (this.runs) for (const run of this.runs) said.append("run", run);
    if (this.step !== null) said.set("step", String(this.step));
    for (const name of /** @type {const} */ (["background", "arrangement", "curve", "trail", "speed"])) {
      if (this[name] !== first[name]) said.set(name, String(this[name]));
    }
    for (const name of /** @type {const} */ (["marks", "border"])) if (!this[name]) said.set(name, "0");
    if (this.logarithmic) said.set("log", "1");
    for (const name of this.hiddenLayers) said.append("hide", name);
    for (const key of this.hiddenUnits) said.append("hide-unit", key);
    for (const key of this.pinned) said.append("pin", key);
    const { x, y, zoom } = this.sight;
    if (zoom > 1) said.set("at", [x, y, zoom].map((value) => Number(value.toPrecision(9))).join(","));
    if (this.dark !== null) said.set("dark", this.dark ? "1" : "0");
    return said.toString();
  }

  /**
   * Takes what the end of an address says; what is no value of its kind is left as it is.
   * @param {string} fragment
   */
  take(fragment) {
    const said = new URLSearchParams(fragment.replace(/^#/, ""));
    const runs = said.getAll("run");
    if (runs.length) this.runs = runs;
    this.step = whole(said.get("step"), 0, Number.MAX_SAFE_INTEGER) ?? this.step;
    const background = BACKGROUNDS.find(([name]) => name === said.get("background"));
    if (background) this.background = background[0];
    if (said.get("arrangement") === "layers") this.arrangement = "layers";
    this.curve = said.get("curve") ?? this.curve;
    this.logarithmic = said.get("log") === "1";
    this.trail = TRAILS.find((length) => String(length) === said.get("trail")) ?? this.trail;
    this.speed = SPEEDS.find((speed) => String(speed) === said.get("speed")) ?? this.speed;
    this.marks = said.get("marks") !== "0";
    this.border = said.get("border") !== "0";
    for (const name of said.getAll("hide")) this.hiddenLayers.add(name);
    for (const key of said.getAll("hide-unit")) this.hiddenUnits.add(key);
    this.pinned = [...new Set([...this.pinned, ...said.getAll("pin").filter((key) => /.:\d+$/.test(key))])];
    const [x, y, zoom] = (said.get("at") ?? "").split(",").map(Number);
    if ([x, y, zoom].every(Number.isFinite)) this.sight = { x, y, zoom };
    if (said.has("dark")) this.dark = said.get("dark") === "1";
  }
}

/** @param {string | null} words @param {number} low @param {number} high */
function whole(words, low, high) {
  const value = words === null || words === "" ? NaN : Number(words);
  return Number.isInteger(value) && value >= low && value <= high ? value : null;
}

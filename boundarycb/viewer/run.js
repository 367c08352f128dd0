// @ts-check
/** A run as the viewer has it: its scene, its samples in the order of their steps, and what they hold, unpacked when it is shown. */

import { FormatError } from "./record.js";

/** @typedef {import("./record.js").BoundaryRecord} BoundaryRecord */
/** @typedef {import("./record.js").Numbers} Numbers */
/** @typedef {{ name: string, op: string, shape: number[], kept: number[] | null }} Layer */
/** @typedef {{ points: Float32Array, starts: Uint32Array, owner: Numbers, boxes: Float32Array }} Lines */
/** @typedef {{ width: number, height: number, values: Numbers }} Grid */
/** @typedef {{ kind: "value" | "probability" | "classes", classes: number, what: string, names: string[], low: number, high: number, sigmoids: boolean }} FieldSaid */

const CACHE_BYTES = 96 * 2 ** 20; // of unpacked samples, all runs together

/**
 * One sample, unpacked.
 * @typedef {object} View
 * @property {any} header
 * @property {number} step
 * @property {Layer[]} layers
 * @property {number[]} starts where each layer's units begin among all; one more than there are layers
 * @property {Lines} lines
 * @property {Lines | null} border where the winning class changes
 * @property {FieldSaid | null} said what the output is
 * @property {Grid | null} field its levels, 1 to 64, 0 where it is not finite
 * @property {Grid | null} winner
 * @property {Grid | null} count how many units are on
 * @property {Map<string, Numbers>} units what metrics say of each unit, by the metric's name
 * @property {Numbers | null} nearest columns of the three most alike units of each, -1 where there is none
 * @property {Numbers | null} since since which step these are copycats, -1 where they are none; null in records of the first versions
 * @property {Numbers | null} phi
 * @property {Record<string, any[]>} tables
 * @property {number} bytes
 */

/** What holds for all samples of a run. */
export class Scene {
  /**
   * @param {any} header
   * @param {Record<string, Numbers | null>} parts
   * @param {number[]} target the shape of the target
   */
  constructor(header, parts, target) {
    /** @type {[[number, number], [number, number]]} */
    this.bounds = header.bounds;
    /** @type {[string, string]} */
    this.names = header.names;
    /** @type {number} width by height, as lengths in input space */
    this.ratio = header.ratio;
    /** @type {string[]} */
    this.anchorNames = header.anchor_names;
    /** @type {string} what varies and at what the rest is held, of a model that takes more; else empty */
    this.held = header.held ?? "";
    /** @type {string} */
    this.run = header.run;
    /** @type {number} */
    this.first = header.first;
    this.anchors = parts.anchors;
    this.limits = parts.limits;
    this.marks = parts["marks/points"];
    this.labels = parts["marks/labels"];
    /** @type {Grid | null} */
    this.target = parts.target ? { width: target[1], height: target[0], values: parts.target } : null;
  }

  /** @param {BoundaryRecord} record */
  static async of(record) {
    if (record.header.kind !== "scene") throw new FormatError("These data begin with no scene, so they cannot be shown.");
    /** @type {Record<string, Numbers | null>} */
    const parts = {};
    for (const name of ["anchors", "limits", "marks/points", "marks/labels", "target"]) parts[name] = await record.array(name);
    return new Scene(record.header, parts, record.shape("target"));
  }
}

/** Unpacked samples of all runs: those that were shown last, up to a number of bytes. */
class Cache {
  constructor() {
    /** @type {Map<BoundaryRecord, View>} */
    this.views = new Map();
    this.bytes = 0;
  }

  /** @param {BoundaryRecord} record */
  get(record) {
    const view = this.views.get(record);
    if (!view) return null;
    this.views.delete(record); // to the end: the first is the one that was not shown for longest
    this.views.set(record, view);
    return view;
  }

  /** @param {BoundaryRecord} record @param {View} view */
  put(record, view) {
    if (this.views.has(record)) return;
    this.views.set(record, view);
    this.bytes += view.bytes;
    for (const [oldest, old] of this.views) {
      if (this.bytes <= CACHE_BYTES || oldest === record) break;
      this.views.delete(oldest);
      this.bytes -= old.bytes;
    }
  }
}

const cache = new Cache();

/** A run: its samples, growing while it trains. */
export class Run {
  /**
   * @param {string} key what tells it from others
   * @param {string} name
   * @param {Scene} scene
   */
  constructor(key, name, scene) {
    this.key = key;
    this.name = name;
    this.scene = scene;
    /** @type {BoundaryRecord[]} */
    this.records = [];
    /** @type {number[]} */
    this.steps = [];
    /** how many samples the run took, as far as is known; not all of them may be here */
    this.total = 0;
    /** @type {Map<BoundaryRecord, Promise<View>>} */
    this.pending = new Map();
    /** @type {Map<BoundaryRecord, Numbers | null>} */
    this.unitValues = new Map();
    /** @type {Map<BoundaryRecord, Error>} what samples are damaged, so that they are not tried again */
    this.damaged = new Map();
    /** @type {Layer[] | null} */
    this.knownLayers = null;
    /** @type {Set<string> | null} */
    this.knownNumbers = null;
    /** @type {Set<string> | null} */
    this.knownLogged = null;
    /** @type {Map<string, number[]>} */
    this.knownSeries = new Map();
  }

  /** Forgets what was found out of all samples together, since there are others now. */
  forget() {
    this.knownLayers = this.knownNumbers = this.knownLogged = null;
    this.knownSeries.clear();
  }

  /**
   * Takes samples behind those that it has. One whose step does not lie after the last replaces all from there on: the run was
   * gone on with from an earlier checkpoint.
   * @param {BoundaryRecord[]} records
   */
  add(records) {
    this.forget();
    for (const record of records) {
      if (record.header.kind !== "view") continue;
      const step = record.header.step;
      while (this.steps.length && this.steps[this.steps.length - 1] >= step) {
        this.steps.pop();
        const gone = this.records.pop();
        if (gone) this.unitValues.delete(gone);
      }
      this.steps.push(step);
      this.records.push(record);
    }
    const last = this.records[this.records.length - 1];
    if (last) this.total = Math.max(this.records.length, last.header.number + 1 - this.scene.first);
  }

  clear() {
    this.records = [];
    this.steps = [];
    this.unitValues.clear();
    this.damaged.clear();
    this.forget();
  }

  /**
   * Returns the place of the last sample at or before `step`; the first where all are later.
   * @param {number} step
   */
  placeAt(step) {
    let low = 0;
    let high = this.steps.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.steps[middle] <= step) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }

  /**
   * Returns a sample if it is unpacked already.
   * @param {number} place
   */
  peek(place) {
    return this.records[place] ? cache.get(this.records[place]) : null;
  }

  /**
   * Returns a sample, unpacked.
   * @param {number} place
   * @returns {Promise<View>}
   */
  view(place) {
    const record = this.records[place];
    const known = cache.get(record);
    if (known) return Promise.resolve(known);
    const damage = this.damaged.get(record);
    if (damage) return Promise.reject(damage);
    const pending = this.pending.get(record);
    if (pending) return pending;
    const made = unpacked(record).finally(() => this.pending.delete(record));
    this.pending.set(record, made);
    made.then((view) => cache.put(record, view), (/** @type {Error} */ error) => this.damaged.set(record, error));
    return made;
  }

  /** Returns the names of all layers that any sample has, with their units, in the order in which they were met. */
  layers() {
    if (this.knownLayers) return this.knownLayers;
    /** @type {Map<string, Layer>} */
    const found = new Map();
    for (const record of this.records) {
      for (const layer of record.header.layers) if (!found.has(layer.name)) found.set(layer.name, layer);
    }
    this.knownLayers = [...found.values()];
    return this.knownLayers;
  }

  /** Returns the names of what the user's program logged, at any sample. */
  logged() {
    this.knownLogged ??= new Set(this.records.flatMap(({ header }) => Object.keys(header.scalars)));
    return this.knownLogged;
  }

  /** Returns the names of all numbers that any sample has. */
  numbers() {
    if (this.knownNumbers) return this.knownNumbers;
    /** @type {Set<string>} */
    const names = new Set();
    for (const { header } of this.records) {
      for (const name of Object.keys(header.scalars)) names.add(name);
      for (const name of Object.keys(header.metrics)) names.add(name);
    }
    this.knownNumbers = names;
    return names;
  }

  /**
   * Unpacks what metrics say of units, of all samples; returns whether any was not unpacked before.
   */
  async unpackUnits() {
    const missing = this.records.filter((record) => !this.unitValues.has(record));
    for (const record of missing) this.unitValues.set(record, null); // asked for once
    await Promise.all(missing.map(async (record) => this.unitValues.set(record, await record.array("per_unit"))));
    return missing.length > 0;
  }

  /**
   * Returns a number of a unit over the run, as far as it is unpacked; NaN at steps that have none.
   * @param {string} name
   * @param {string} key of the unit
   */
  unitSeries(name, key) {
    return this.records.map((record) => {
      const { header } = record;
      const values = this.unitValues.get(record);
      const row = header.units.indexOf(name);
      const starts = startsOf(header.layers);
      const column = columnOf({ layers: header.layers, starts }, key);
      return values && row >= 0 && column >= 0 ? Number(values[row * starts[starts.length - 1] + column]) : NaN;
    });
  }

  /**
   * Returns a number over the run; NaN at steps that have none.
   * @param {string} name
   */
  series(name) {
    const known = this.knownSeries.get(name);
    if (known) return known;
    const values = this.records.map(({ header }) => numberOf(header.scalars[name] ?? header.metrics[name]));
    this.knownSeries.set(name, values);
    return values;
  }

  /**
   * Returns the places of samples at which a number was taken and is not finite. A metric that is NaN is one that has no value there.
   * @param {string} name
   */
  broken(name) {
    const values = this.series(name);
    return this.records.flatMap(({ header }, place) => {
      const wrong = name in header.scalars ? !Number.isFinite(values[place]) : Math.abs(values[place]) === Infinity;
      return wrong ? [place] : [];
    });
  }
}

/** @param {unknown} value as a header has it, in words where it is not finite; NaN where there is none */
export function numberOf(value) {
  if (value === "inf" || value === "-inf") return value === "inf" ? Infinity : -Infinity;
  return value === undefined || value === null ? NaN : Number(value);
}

/** @param {BoundaryRecord} record @returns {Promise<View>} */
async function unpacked(record) {
  const { header } = record;
  const starts = startsOf(header.layers);
  const [lines, border, field, winner, count, values, nearest, phi, since, tables] = await Promise.all([
    linesOf(record, ""),
    record.has("decision/points") ? linesOf(record, "decision/") : null,
    gridOf(record, "field"),
    gridOf(record, "winner"),
    gridOf(record, "on_count"),
    record.array("per_unit"),
    record.array("nearest"),
    record.array("nearest/phi"),
    record.array("nearest/since"),
    record.array("tables"),
  ]);
  const total = starts[starts.length - 1];
  const units = new Map();
  header.units.forEach((/** @type {string} */ name, /** @type {number} */ row) => {
    if (values) units.set(name, values.subarray(row * total, (row + 1) * total));
  });
  const grids = [field, winner, count].reduce((sum, grid) => sum + (grid ? grid.values.byteLength : 0), 0);
  const bytes = lines.points.byteLength * 2 + (border ? border.points.byteLength : 0) + grids + (values?.byteLength ?? 0);
  return {
    header,
    step: header.step,
    layers: header.layers,
    starts,
    lines,
    border,
    said: header.field,
    field,
    winner,
    count,
    units,
    nearest,
    phi,
    since,
    tables: tables ? JSON.parse(new TextDecoder().decode(/** @type {Uint8Array} */ (tables))) : {},
    bytes: bytes + 4096,
  };
}

/** @param {BoundaryRecord} record @param {string} prefix @returns {Promise<Lines>} */
async function linesOf(record, prefix) {
  const [points, counts, owner] = await Promise.all(["points", "counts", "owner"].map((name) => record.array(prefix + name)));
  if (!points || !counts || !owner) throw new FormatError("A sample has no lines.");
  const starts = new Uint32Array(counts.length + 1);
  const boxes = new Float32Array(4 * counts.length);
  for (let line = 0; line < counts.length; line++) {
    starts[line + 1] = starts[line] + counts[line];
    let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
    for (let k = starts[line]; k < starts[line + 1]; k++) {
      x0 = Math.min(x0, points[2 * k]);
      x1 = Math.max(x1, points[2 * k]);
      y0 = Math.min(y0, points[2 * k + 1]);
      y1 = Math.max(y1, points[2 * k + 1]);
    }
    boxes.set([x0, y0, x1, y1], 4 * line);
  }
  return { points: /** @type {Float32Array} */ (points), starts, owner, boxes };
}

/** @param {BoundaryRecord} record @param {string} name @returns {Promise<Grid | null>} */
async function gridOf(record, name) {
  const values = await record.array(name);
  const [height, width] = record.shape(name);
  return values ? { width, height, values } : null;
}

// ----------------------------------------------------------------------------------------------------------------- units

/** @param {Layer[]} layers; returns where each one's units begin among all, and how many there are */
export function startsOf(layers) {
  const starts = [0];
  for (const layer of layers) starts.push(starts[starts.length - 1] + unitsOf(layer));
  return starts;
}

/** @param {Layer} layer; returns how many of its units are watched */
export function unitsOf(layer) {
  return layer.kept ? layer.kept.length : layer.shape.reduce((a, b) => a * b, 1);
}

/**
 * Returns the place of a unit in its layer's flattened pre-activation.
 * @param {Layer} layer
 * @param {number} place among those that are watched
 */
export function indexOf(layer, place) {
  return layer.kept ? layer.kept[place] : place;
}

/**
 * Returns a unit's layer and its place there.
 * @param {View} view
 * @param {number} column among the units of all layers
 */
export function unitAt(view, column) {
  let number = 0;
  while (view.starts[number + 1] <= column) number++;
  const layer = view.layers[number];
  return { layer, number, index: indexOf(layer, column - view.starts[number]) };
}

/**
 * Returns a unit's column among the units of all layers; -1 where this sample does not have it.
 * @param {{ layers: Layer[], starts: number[] }} view
 * @param {string} key as keyOf gives it
 */
export function columnOf(view, key) {
  const [name, index] = parted(key);
  const number = view.layers.findIndex((layer) => layer.name === name);
  if (number < 0) return -1;
  const { kept } = view.layers[number];
  const place = kept ? kept.indexOf(index) : index;
  return place < 0 || place >= unitsOf(view.layers[number]) ? -1 : view.starts[number] + place;
}

/** @param {string} layer @param {number} index */
export function keyOf(layer, index) {
  return `${layer}:${index}`;
}

/** @param {string} key @returns {[string, number]} */
export function parted(key) {
  const cut = key.lastIndexOf(":");
  return [key.slice(0, cut), Number(key.slice(cut + 1))];
}

/**
 * Returns what a unit, or several, are called: layers may have numbers for names.
 * @param {string} layer
 * @param {...string} places
 */
export function called(layer, ...places) {
  return `${layer} · ${places.join(" and ")}`;
}

/**
 * Returns a unit's place in words: its index, or its position in a convolution or a sequence.
 * @param {Layer | undefined} layer
 * @param {number} index
 */
export function placeOf(layer, index) {
  if (!layer || layer.shape.length < 2) return String(index);
  const position = [];
  let rest = index;
  for (const size of [...layer.shape].reverse()) {
    position.unshift(rest % size);
    rest = Math.floor(rest / size);
  }
  return `(${position.join(", ")})`;
}

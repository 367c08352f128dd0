// @ts-check
/** What stands beside the plots: the layers and their units, the units that are pinned, and lists of those worth a look. */

import { button, make, say, ticked } from "./dom.js";
import { keyAt, number } from "./plot.js";
import { called, columnOf, indexOf, keyOf, parted, placeOf, unitAt, unitsOf } from "./run.js";

// What stands for a unit says so by `data-meant`, its key: the viewer makes the line stand out that the pointer means.

/** @typedef {import("./run.js").View} View */
/** @typedef {import("./run.js").Layer} Layer */
/** @typedef {import("./state.js").State} State */
/** @typedef {{ run: import("./run.js").Run, view: View }} Shown a run, and the sample that is shown of it */

/**
 * What a reader does here.
 * @typedef {object} Acts
 * @property {(name: string) => void} toggleLayer
 * @property {(name: string) => void} onlyLayer
 * @property {(on: boolean) => void} allLayers shows all of them, or none
 * @property {(keys: string[], on: boolean) => void} allUnits shows all of these units, or none
 * @property {(key: string) => void} toggleUnit
 * @property {(key: string) => void} pin pins a unit, or lets go of it
 * @property {(keys: string[]) => void} pinOnly pins these and no others
 * @property {() => void} redraw
 */

const FOUND = "bcb-found"; // the element that tabs open
const MOST_ROWS = 100;
const FEW = 5; // pairs that are named where none is above chance

/** What is known of a unit, in the order in which it is shown: a metric's name, words, and a unit of measurement. */
const FACTS = /** @type {[string, string, string][]} */ ([
  ["on/share", "on", "%"],
  ["drift/flipped", "moved since the last sample", "%"],
  ["drift/shift", "… by shifting", "%"],
  ["drift/rotate", "… by turning", "%"],
  ["drift/upstream", "… by the layers below", "%"],
  ["line/turned", "turned since the start", "°"],
  ["indecisive/osc", "to and fro (osc)", ""],
]);

// ---------------------------------------------------------------------------------------------------------------- layers

/** The layers, each with a box to tick, and its units when it is opened. */
export class LayerList {
  /** @param {Acts} acts */
  constructor(acts) {
    this.acts = acts;
    this.element = make("section", { class: "bcb-layers", "aria-label": "Layers" });
    this.signature = "";
    /** @type {Map<string, { row: HTMLElement, tick: HTMLInputElement, swatch: HTMLElement, count: HTMLElement, units: UnitList }>} */
    this.rows = new Map();
    /** @type {Set<string>} */
    this.open = new Set();
  }

  /**
   * @param {Layer[]} layers
   * @param {State} state
   * @param {{ colour: (name: string) => string, named: Named }} looks of a layer
   * @param {Shown[]} shown
   */
  update(layers, state, { colour, named }, shown) {
    const signature = layers.map(({ name }) => name).join("\n");
    if (signature !== this.signature) {
      this.signature = signature;
      this.rows = new Map(layers.map((layer) => [layer.name, this.row(layer, named(layer.name))]));
      const all = [
        button("All", () => this.acts.allLayers(true), { class: "bcb-quiet", "aria-label": "show all layers" }),
        button("None", () => this.acts.allLayers(false), { class: "bcb-quiet", "aria-label": "hide all layers" }),
      ];
      const head = make("div", { class: "bcb-row bcb-head" }, make("h2", {}, "Layers"), ...all);
      this.element.replaceChildren(head, ...[...this.rows.values()].map(({ row }) => row));
    }
    for (const layer of layers) {
      const row = this.rows.get(layer.name);
      if (!row) continue;
      row.tick.checked = !state.hiddenLayers.has(layer.name);
      row.swatch.style.background = colour(layer.name);
      say(row.count, countWords(shown, layer.name));
      const first = shown.find(({ view }) => view.layers.some(({ name }) => name === layer.name));
      if (this.open.has(layer.name)) row.units.update(first?.view ?? null, state);
    }
  }

  /** @param {Layer} layer @param {string} named what it is called in short */
  row(layer, named) {
    const { name } = layer;
    const tick = ticked(named, () => this.acts.toggleLayer(name));
    tick.input.setAttribute("aria-label", `show layer ${name}`);
    const swatch = make("span", { class: "bcb-swatch" });
    tick.label.insertBefore(swatch, tick.label.lastChild);
    tick.label.title = `${name}: ${layer.op}, ${layer.shape.join(" × ")}`;
    const count = make("span", { class: "bcb-count" });
    const units = new UnitList(layer, this.acts);
    const open = this.open.has(name); // also when the list is made anew, since other runs are shown
    units.element.hidden = !open;
    const opener = button("Units", () => {
      const opens = !this.open.has(name);
      if (opens) this.open.add(name);
      else this.open.delete(name);
      opener.setAttribute("aria-expanded", String(opens));
      units.element.hidden = !opens;
      this.acts.redraw();
    }, { class: "bcb-quiet", "aria-expanded": String(open), "aria-label": `units of layer ${name}` });
    const only = button("Only", () => this.acts.onlyLayer(name), { class: "bcb-quiet", "aria-label": `show layer ${name} only` });
    const row = make("div", { class: "bcb-layer" }, make("div", { class: "bcb-row" }, tick.label, only, opener), count, units.element);
    return { row, tick: tick.input, swatch, count, units };
  }
}

/** The units of a layer: a box to tick, a button that pins, and how often each is on. Made when the layer is opened. */
class UnitList {
  /** @param {Layer} layer @param {Acts} acts */
  constructor(layer, acts) {
    this.layer = layer;
    this.acts = acts;
    this.element = make("div", { class: "bcb-units", hidden: true, role: "group", "aria-label": `units of ${layer.name}` });
    /** @type {{ key: string, tick: HTMLInputElement, pin: HTMLButtonElement, share: HTMLElement }[]} */
    this.rows = [];
  }

  /** @param {View | null} view @param {State} state */
  update(view, state) {
    if (!this.rows.length) this.build();
    const shares = view?.units.get("on/share");
    for (const { key, tick, pin, share } of this.rows) {
      tick.checked = !state.hiddenUnits.has(key);
      pin.setAttribute("aria-pressed", String(state.pinned.includes(key)));
      const column = view ? columnOf(view, key) : -1;
      say(share, shares && column >= 0 ? `on ${percent(shares[column])}` : "");
    }
  }

  build() {
    const keys = () => this.rows.map(({ key }) => key);
    const all = button("All", () => this.acts.allUnits(keys(), true), { class: "bcb-quiet", "aria-label": `show all units of ${this.layer.name}` });
    const none = button("None", () => this.acts.allUnits(keys(), false), { class: "bcb-quiet", "aria-label": `hide all units of ${this.layer.name}` });
    this.element.append(make("div", { class: "bcb-row" }, all, none));
    for (let place = 0; place < unitsOf(this.layer); place++) {
      const index = indexOf(this.layer, place);
      const key = keyOf(this.layer.name, index);
      const words = placeOf(this.layer, index);
      const tick = ticked("", () => this.acts.toggleUnit(key));
      tick.input.setAttribute("aria-label", `show unit ${words}`);
      const pin = button(words, () => this.acts.pin(key), { "aria-label": `pin unit ${words}`, class: "bcb-unit", "data-meant": key });
      const share = make("span", { class: "bcb-count" });
      this.rows.push({ key, tick: tick.input, pin, share });
      this.element.append(make("div", { class: "bcb-row" }, tick.label, pin, share));
    }
  }
}

/** @param {Shown[]} shown @param {string} name; returns how many units of a layer have a boundary here, in each run that has it */
function countWords(shown, name) {
  const found = shown.flatMap(({ view }) => {
    const place = view.layers.findIndex((layer) => layer.name === name);
    if (place < 0) return [];
    const [start, stop] = [view.starts[place], view.starts[place + 1]];
    const live = new Set(view.lines.owner.filter((owner) => owner >= start && owner < stop)).size;
    const watched = stop - start;
    const all = view.layers[place].shape.reduce((a, b) => a * b, 1);
    return [{ live, of: `${watched}${watched < all ? ` (of ${all.toLocaleString("en")} units)` : ""}` }];
  });
  const alike = found.every((one) => one.of === found[0].of);
  if (alike && found.length) return `${found.map(({ live }) => live).join(" and ")} of ${found[0].of} in view`;
  return found.map(({ live, of }) => `${live} of ${of}`).join(", ");
}

// ---------------------------------------------------------------------------------------------------------------- pinned

/** The pinned units, each with what is known of it and those that are most alike. */
export class PinnedList {
  /** @param {Acts} acts */
  constructor(acts) {
    this.acts = acts;
    this.body = make("div", {});
    this.heading = make("h2", { tabIndex: -1 }, "Pinned units"); // takes the focus of the last card that goes
    this.element = make("section", { class: "bcb-pinned", "aria-label": "Pinned units" }, this.heading, this.body);
    /** @type {Map<string, { card: HTMLElement, bodies: HTMLElement[], away: HTMLElement, signature: string }>} */
    this.cards = new Map();
    this.frame = "";
  }

  /**
   * @param {State} state
   * @param {{ colour: (name: string) => string, named: Named }} looks of a layer
   * @param {Shown[]} shown
   */
  update(state, { colour, named }, shown) {
    const frame = JSON.stringify([shown.map(({ run }) => run.key), state.pinned.map((key) => [key, named(parted(key)[0])])]);
    if (frame !== this.frame) this.arrange(state, named, shown);
    this.frame = frame;
    for (const [key, { card, bodies }] of this.cards) {
      card.style.borderLeftColor = colour(parted(key)[0]);
      for (const [place, { view }] of shown.entries()) this.fill(bodies[place], key, view);
    }
  }

  /** Puts the cards there; those that were there stay, and so does the focus. @param {State} state @param {Named} named @param {Shown[]} shown */
  arrange({ pinned }, named, shown) {
    const focused = this.body.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement) : null;
    const place = [...this.cards.values()].findIndex(({ card }) => card.contains(focused));
    const signature = (/** @type {string} */ key) => JSON.stringify([named(parted(key)[0]), shown.map(({ run }) => run.key)]);
    this.cards = new Map(pinned.map((key) => {
      const known = this.cards.get(key);
      return [key, known?.signature === signature(key) ? known : { ...this.card(key, shown, named), signature: signature(key) }];
    }));
    const hint = make("p", { class: "bcb-hint" }, "Click a line to pin its unit: what it did, its trail, and the units most alike.");
    this.body.replaceChildren(...(this.cards.size ? [...this.cards.values()].map(({ card }) => card) : [hint]));
    if (!focused) return;
    const next = [...this.cards.values()][Math.min(place, this.cards.size - 1)]?.away ?? this.heading;
    (focused.isConnected ? focused : next).focus();
  }

  /** @param {string} key @param {Shown[]} shown @param {Named} named */
  card(key, shown, named) {
    const [name, index] = parted(key);
    const layer = shown.map(({ view }) => view.layers.find((known) => known.name === name)).find((known) => known);
    const place = placeOf(layer, index);
    const unit = place === String(index) ? place : `${index} ${place}`;
    const words = called(name, unit);
    const bodies = shown.map(() => make("div", {}));
    const headed = shown.flatMap(({ run }, k) => (shown.length > 1 ? [make("h4", {}, run.name), bodies[k]] : [bodies[k]]));
    const away = button("×", () => this.acts.pin(key), { class: "bcb-quiet", "aria-label": `let go of ${words}` });
    const card = make("article", { class: "bcb-card", "data-meant": key }, make("div", { class: "bcb-row" }, make("h3", { title: words }, called(named(name), unit)), away), ...headed);
    return { card, bodies, away };
  }

  /** @param {HTMLElement} body @param {string} key @param {View} view */
  fill(body, key, view) {
    const column = columnOf(view, key);
    const rest = [...view.units.keys()].filter((name) => !FACTS.some(([known]) => known === name));
    const value = (/** @type {string} */ name) => view.units.get(name)?.[column] ?? NaN;
    const known = FACTS.filter(([name]) => column >= 0 && Number.isFinite(value(name)));
    const lines = known.map(([name, words, unit]) => /** @type {[string, string]} */ ([words, measured(value(name), unit)]));
    const alike = column < 0 ? [] : nearestOf(view, column);
    const others = rest.filter((name) => column >= 0 && Number.isFinite(value(name)));
    const text = JSON.stringify([column, lines, alike, others.map(value)]);
    if (body.dataset.said === text) return;
    const opened = body.querySelector("details")?.open ?? false;
    const focused = body.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement).dataset.key : undefined;
    body.dataset.said = text;
    body.replaceChildren(
      ...(column < 0 ? [make("p", { class: "bcb-hint" }, "This run has no such unit.")] : []),
      listed(lines),
      alike.length ? this.alike(alike) : "",
      others.length ? make("details", { open: opened }, make("summary", {}, "All numbers"), listed(others.map((name) => [name, number(value(name))]))) : "",
    );
    if (focused) /** @type {HTMLElement | null} */ (body.querySelector(`[data-key="${CSS.escape(focused)}"]`))?.focus();
  }

  /** @param {{ key: string, words: string, phi: number, copy: boolean }[]} alike */
  alike(alike) {
    const buttons = alike.map(({ key, words, phi, copy }) => {
      const name = `${words}  φ ${fixed(phi, 2)}${copy ? "  copycat" : ""}`;
      return button(name, () => this.acts.pin(key), { class: "bcb-unit", "data-key": key, "aria-label": `pin ${name}` });
    });
    return make("div", { class: "bcb-alike" }, make("span", {}, "most alike"), ...buttons);
  }
}

/** @param {[string, string][]} lines */
function listed(lines) {
  return make("dl", { class: "bcb-facts" }, ...lines.flatMap(([words, value]) => [make("dt", {}, words), make("dd", {}, value)]));
}

/** @param {View} view @param {number} column; returns the units that are most alike, and whether they are copycats */
function nearestOf(view, column) {
  const found = [];
  const { layer } = unitAt(view, column);
  const chance = Number(view.header.metrics[`copycat/chance/${layer.name}`] ?? NaN);
  for (let k = 0; view.nearest && view.phi && k < 3; k++) {
    const other = view.nearest[3 * column + k];
    const phi = view.phi[3 * column + k];
    if (other < 0) continue;
    const { index } = unitAt(view, other);
    const since = view.since ? view.since[3 * column + k] : -1;
    const copy = view.since ? since >= 0 : Math.abs(phi) >= chance;
    found.push({ key: keyAt(view, other), words: placeOf(layer, index), phi, copy, since });
  }
  return found;
}

// ------------------------------------------------------------------------------------------------------------------ finder

/** @typedef {(layer: string) => string} Named what a layer is called in short */
/** @typedef {{ keys: string[], cells: string[], whole: string, strong: boolean }} Row whole: the first cell with the layer's whole name */
/** @typedef {{ head: string[], rows: Row[], hint: string }} Table */

const FINDERS = /** @type {[string, (view: View, named: Named) => Table][]} */ ([
  ["Copycats", copycats],
  ["Dormant", dormant],
  ["Indecisive", indecisive],
]);

/** Lists of units worth a look, of the sample that is shown; a click pins them. */
export class Finder {
  /** @param {Acts} acts */
  constructor(acts) {
    this.acts = acts;
    this.chosen = 0;
    this.said = "";
    this.body = make("div", { role: "tabpanel", class: "bcb-found", id: FOUND, "aria-label": FINDERS[0][0] });
    this.tabs = FINDERS.map(([name], place) => {
      const tab = button(name, () => this.choose(place), { role: "tab", "aria-controls": FOUND, "aria-selected": String(place === 0), tabIndex: place ? -1 : 0 });
      tab.addEventListener("keydown", (event) => {
        const turn = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
        if (!turn) return;
        event.stopPropagation();
        this.choose((place + turn + FINDERS.length) % FINDERS.length);
        this.tabs[this.chosen].focus();
      });
      return tab;
    });
    const bar = make("div", { role: "tablist", class: "bcb-tabs", "aria-label": "Units worth a look" }, ...this.tabs);
    this.element = make("section", { class: "bcb-finder", "aria-label": "Units worth a look" }, make("h2", {}, "Worth a look"), bar, this.body);
    /** @type {Shown[]} */
    this.shown = [];
    /** @type {Named} */
    this.named = (name) => name;
  }

  /** @param {number} place */
  choose(place) {
    this.chosen = place;
    this.body.setAttribute("aria-label", FINDERS[place][0]);
    this.tabs.forEach((tab, k) => {
      tab.setAttribute("aria-selected", String(k === place));
      tab.tabIndex = k === place ? 0 : -1;
    });
    this.update(this.shown, this.named);
    this.acts.redraw(); // a unit of the list that was there may have stood out
  }

  /** @param {Shown[]} shown @param {Named} named */
  update(shown, named) {
    this.shown = shown;
    this.named = named;
    const tables = shown.map(({ run, view }) => ({ name: run.name, table: FINDERS[this.chosen][1](view, named) }));
    const said = JSON.stringify([this.chosen, tables]);
    if (said === this.said) return;
    this.said = said;
    const focused = this.body.contains(document.activeElement) ? /** @type {HTMLElement} */ (document.activeElement).dataset.key : undefined;
    this.body.replaceChildren(...tables.flatMap(({ name, table }) => [shown.length > 1 ? make("h4", {}, name) : "", this.table(table)]));
    if (focused === undefined) return;
    const again = /** @type {HTMLElement | null} */ (this.body.querySelector(`[data-key="${CSS.escape(focused)}"]`));
    (again ?? this.tabs[this.chosen]).focus(); // a list that changes does not take the focus away
  }

  /** @param {Table} table */
  table({ head, rows, hint }) {
    const made = make("table", {});
    if (rows.length) {
      made.append(make("thead", {}, make("tr", {}, ...head.map((words) => make("th", { scope: "col" }, words)))));
      made.append(make("tbody", {}, ...rows.slice(0, MOST_ROWS).map((row) => this.line(row))));
    }
    const paragraph = (/** @type {string} */ words) => (words ? make("p", { class: "bcb-hint" }, words) : "");
    const more = rows.length > MOST_ROWS ? `And ${(rows.length - MOST_ROWS).toLocaleString("en")} more.` : "";
    return make("div", {}, paragraph(hint), rows.length ? made : "", paragraph(more));
  }

  /** @param {Row} row */
  line({ keys, cells, whole, strong }) {
    const [first, ...rest] = cells;
    const pick = button(first, () => this.acts.pinOnly(keys), { class: "bcb-unit", "data-key": keys.join(" "), title: whole, "aria-label": whole });
    return make("tr", { class: strong ? "bcb-strong" : "", "data-meant": keys[0] }, make("td", {}, pick), ...rest.map((words) => make("td", {}, words)));
  }
}

/** @param {View} view @param {Named} named @returns {Table} */
function copycats(view, named) {
  if (!view.nearest || !view.phi) return { head: [], rows: [], hint: "This run was sampled without the metric of copycats." };
  /** @type {Map<string, { size: number, row: Row }>} */
  const pairs = new Map();
  for (let column = 0; column < view.nearest.length / 3; column++) {
    for (const { key, words, phi, copy, since } of nearestOf(view, column)) {
      const mine = keyAt(view, column);
      const [one, other] = parted(mine)[1] < parted(key)[1] ? [mine, key] : [key, mine];
      const { layer, index } = unitAt(view, column);
      const names = parted(mine)[1] < parted(key)[1] ? [placeOf(layer, index), words] : [words, placeOf(layer, index)];
      const cells = [called(named(layer.name), ...names), fixed(phi, 3), since >= 0 ? number(since) : ""];
      pairs.set(`${one} ${other}`, { size: Math.abs(phi), row: { keys: [one, other], cells, whole: called(layer.name, ...names), strong: copy } });
    }
  }
  const sorted = [...pairs.values()].sort((one, other) => other.size - one.size).map(({ row }) => row);
  const above = sorted.filter(({ strong }) => strong);
  const head = ["units", "φ", "since step"];
  if (!sorted.length) return { head, rows: [], hint: "No two units of a layer switch on this slice." };
  if (above.length) return { head, rows: above, hint: "" };
  return { head: head.slice(0, 2), rows: sorted.slice(0, FEW).map((row) => ({ ...row, cells: row.cells.slice(0, 2) })), hint: "No pair counts as copycats: none reaches its layer's level, or too few grid points tell. The most alike:" };
}

/** @param {View} view @param {Named} named @returns {Table} */
function dormant(view, named) {
  const shares = view.units.get("on/share");
  const live = new Set(view.lines.owner);
  /** @type {Row[]} */
  const rows = [];
  for (let column = 0; column < view.starts[view.starts.length - 1]; column++) {
    const share = shares ? shares[column] : NaN;
    const still = share === 0 ? "never on" : share === 1 ? "always on" : shares || live.has(column) ? "" : "does not switch";
    const words = shares && Number.isNaN(share) ? "not finite" : still;
    if (!words) continue;
    const { layer, index } = unitAt(view, column);
    const place = placeOf(layer, index);
    rows.push({ keys: [keyOf(layer.name, index)], cells: [called(named(layer.name), place), words], whole: called(layer.name, place), strong: share === 0 });
  }
  rows.sort((one, other) => Number(other.strong) - Number(one.strong)); // those that are never on first
  return { head: ["unit", "on this slice"], rows, hint: rows.length ? "" : "Every unit switches on this slice." };
}

/** @param {View} view @param {Named} named @returns {Table} */
function indecisive(view, named) {
  const table = view.tables["indecisive/worst"];
  if (!table && !view.units.has("indecisive/osc")) return { head: [], rows: [], hint: "Not enough samples yet, or sampled without the metric of indecisive units." };
  const rows = (table ?? []).map((row) => {
    const layer = view.layers.find(({ name }) => name === row.layer);
    const place = placeOf(layer, row.unit);
    const cells = [called(named(row.layer), place), percent(row.jitter), measured(row.osc, ""), measured(row.ret, "")];
    return { keys: [keyOf(row.layer, row.unit)], cells, whole: called(row.layer, place), strong: true };
  });
  return { head: ["unit", "flips a sample", "osc", "ret"], rows, hint: rows.length ? "" : "No unit flips to and fro here." };
}

/** @param {number} value */
function percent(value) {
  if (!Number.isFinite(value)) return "–";
  if (value === 0 || value === 1) return `${100 * value} %`;
  return `${fixed(100 * value, Math.abs(value) < 0.1 ? 1 : 0)} %`;
}

/** @param {number} value @param {number} digits; returns it with so many digits; what is next to nothing has no sign */
function fixed(value, digits) {
  return value.toFixed(digits).replace(/^-(?=[0.]*$)/, "").replace("-", "−");
}

/** @param {number} value @param {string} unit */
function measured(value, unit) {
  if (!Number.isFinite(value)) return "–";
  return unit === "%" ? percent(value) : `${number(value)}${unit}`;
}

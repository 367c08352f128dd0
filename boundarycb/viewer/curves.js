// @ts-check
/** The curves under the plots: a number of the run, of each layer, or of the pinned units. */

import { Chart, valueAt } from "./chart.js";
import { chooser, dashed, make, say, ticked } from "./dom.js";
import { elided } from "./names.js";
import { number } from "./plot.js";
import { called, parted, placeOf } from "./run.js";

/** @typedef {import("./chart.js").Curve} Curve */
/** @typedef {import("./run.js").Run} Run */
/** @typedef {import("./run.js").Layer} Layer */
/** @typedef {import("./state.js").State} State */
/** @typedef {import("./palette.js").Theme} Theme */

/**
 * What curves are drawn of.
 * @typedef {object} Plotted
 * @property {Run[]} runs
 * @property {Layer[]} layers of all runs
 * @property {(name: string) => string} colour of a layer
 * @property {(name: string) => string} named what a layer is called in short
 * @property {number[]} steps
 * @property {number} place
 * @property {Theme} theme
 */

const RUN_LETTERS = 24; // of a run's name, in the legend
const UNIT = "unit:"; // before the names of what is known of pinned units
const DASHES = [[], [6, 4], [2, 3], [8, 3, 2, 3]];
const MOST_TOLD = 12; // curves whose values are told to those who do not see
const FIRST = ["loss", "train_loss", "train/loss", "training_loss"]; // what is shown first, if there is any

export class Curves {
  /**
   * @param {(act: (state: State) => void) => void} change
   * @param {(place: number) => void} go
   * @param {() => void} redraw
   * @param {Record<string, string>} texts what numbers mean
   */
  constructor(change, go, redraw, texts) {
    this.redraw = redraw;
    this.texts = texts;
    this.offered = "";
    this.chart = new Chart(go);
    this.choice = chooser("Curve", [], (value) => change((state) => (state.curve = value)));
    this.logarithm = ticked("Log scale", (on) => change((state) => (state.logarithmic = on)));
    this.meaning = make("p", { class: "bcb-hint" });
    this.legend = make("div", { class: "bcb-legend" });
    const head = make("div", { class: "bcb-row" }, this.choice.label, this.logarithm.label, this.legend);
    this.element = make("div", { class: "bcb-curve" }, head, this.chart.canvas, this.meaning);
  }

  /** @param {State} state @param {Plotted} plotted */
  update(state, plotted) {
    this.offer(state, plotted);
    const chosen = this.choice.select.value;
    const name = chosen.replace(UNIT, "");
    this.logarithm.input.checked = this.chart.logarithmic = state.logarithmic;
    this.chart.steps = plotted.steps;
    this.chart.curves = chosen.startsWith(UNIT) ? this.ofUnits(name, state, plotted) : ofNumbers(name, state, plotted);
    this.chart.draw(plotted.place, plotted.theme);
    say(this.meaning, this.texts[name.split("/").slice(0, 2).join("/")] ?? "");
    this.tell(name, plotted);
  }

  /** Says which curve is which, and the value of each where the marker stands. @param {string} name @param {Plotted} plotted */
  tell(name, { steps, place }) {
    const { curves } = this.chart;
    const key = JSON.stringify(curves.map(({ name: words, whole, colour, dash }) => [words, whole, colour, dash]));
    if (this.legend.dataset.said !== key) {
      this.legend.dataset.said = key;
      this.legend.replaceChildren(...curves.map((curve) => legendItem(curve, curves.length > 1)));
    }
    const values = curves.map((curve) => valueAt(curve, place));
    for (const [k, element] of this.legend.querySelectorAll(".bcb-value").entries()) say(element, values[k]);
    const count = curves.length === 1 ? "1 curve" : `${curves.length} curves`;
    const told = curves.slice(0, MOST_TOLD).map(({ whole }, k) => `${curves.length > 1 ? `${whole} ` : ""}${values[k]}`);
    const here = told.length ? `; at step ${number(steps[place] ?? 0)}: ${told.join(", ")}` : "";
    this.chart.canvas.setAttribute("aria-label", `${name || "no curve"} over the steps, ${count}${here}`);
  }

  /** Fills the list of what there is. @param {State} state @param {Plotted} plotted */
  offer(state, { runs, layers }) {
    const known = new Set(layers.map(({ name }) => name));
    const logged = new Set(runs.flatMap((run) => [...run.logged()])); // by the user, who may call one lr/0 where a layer is called 0
    /** @type {Map<string, string>} */
    const choices = new Map();
    for (const name of runs.flatMap((run) => [...run.numbers()])) {
      const cut = name.lastIndexOf("/");
      if (cut > 0 && known.has(name.slice(cut + 1)) && !logged.has(name)) choices.set(name.slice(0, cut), `${name.slice(0, cut)} (each layer)`);
      else choices.set(name, name);
    }
    const ofUnits = state.pinned.length ? runs.flatMap((run) => run.records[run.records.length - 1].header.units) : [];
    for (const name of ofUnits) choices.set(UNIT + name, `pinned units: ${name}`);
    const offered = JSON.stringify([...choices]);
    if (offered !== this.offered) {
      this.offered = offered;
      this.choice.select.replaceChildren(...[...choices].map(([value, words]) => make("option", { value }, words)));
    }
    const first = FIRST.find((name) => choices.has(name)) ?? [...logged].find((name) => /loss/i.test(name)) ?? [...choices.keys()][0] ?? "";
    this.choice.select.value = choices.has(state.curve) ? state.curve : first;
  }

  /** @param {string} name @param {State} state @param {Plotted} plotted @returns {Curve[]} */
  ofUnits(name, state, plotted) {
    const layers = new Map(plotted.layers.map((layer) => [layer.name, layer]));
    return plotted.runs.flatMap((run, order) => {
      run.unpackUnits().then((news) => news && this.redraw(), () => undefined); // a damaged sample is told when it is shown
      return state.pinned.map((key, place) => {
        const [layer, index] = parted(key);
        const words = (/** @type {string} */ named) => called(named, placeOf(layers.get(layer), index));
        return {
          ...namesOf(plotted, run, words(plotted.named(layer)), words(layer)),
          colour: plotted.colour(layer),
          dash: DASHES[(order + place) % DASHES.length],
          places: placesOf(run, plotted.steps),
          values: run.unitSeries(name, key),
          broken: [],
        };
      });
    });
  }
}

/** @param {string} chosen @param {State} state @param {Plotted} plotted @returns {Curve[]} */
function ofNumbers(chosen, state, plotted) {
  const { runs, colour, named, steps, theme } = plotted;
  return runs.flatMap((run, order) => {
    const places = placesOf(run, steps);
    const dash = DASHES[order % DASHES.length];
    const known = run.numbers();
    if (known.has(chosen)) {
      return [{ ...namesOf(plotted, run, "", ""), colour: theme.few[order % theme.few.length], dash, places, values: run.series(chosen), broken: run.broken(chosen) }];
    }
    const layers = run.layers().filter(({ name }) => known.has(`${chosen}/${name}`) && !state.hiddenLayers.has(name));
    return layers.map(({ name }) => ({
      ...namesOf(plotted, run, named(name), name),
      colour: colour(name),
      dash,
      places,
      values: run.series(`${chosen}/${name}`),
      broken: run.broken(`${chosen}/${name}`),
    }));
  });
}

/** @param {Plotted} plotted @param {Run} run @param {string} short @param {string} whole; returns what a curve is called, with its run's name where there are several */
function namesOf({ runs }, run, short, whole) {
  const [near, full] = runs.length > 1 ? [`${elided(run.name, RUN_LETTERS)} `, `${run.name} `] : ["", ""];
  return { name: `${near}${short}`.trim(), whole: `${full}${whole}`.trim() };
}

/** @param {Run} run @param {number[]} steps of all runs; returns where the run's own are among them */
function placesOf(run, steps) {
  const places = new Map(steps.map((step, place) => [step, place]));
  return run.steps.map((step) => places.get(step) ?? 0);
}

/** @param {Curve} curve @param {boolean} several whether it has to be told from others */
function legendItem({ name, whole, colour, dash }, several) {
  const value = make("span", { class: "bcb-value" });
  return make("span", { class: "bcb-key", title: whole }, dashed(colour, dash), several ? name : null, value);
}

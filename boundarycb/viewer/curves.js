// @ts-check
/** The curves under the plots: a number of the run, of each layer, or of the pinned units. */

import { Chart } from "./chart.js";
import { chooser, make, say, ticked } from "./dom.js";
import { parted } from "./run.js";

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
 * @property {number[]} steps
 * @property {number} place
 * @property {Theme} theme
 */

const UNIT = "unit:"; // before the names of what is known of pinned units
const DASHES = [[], [6, 4], [2, 3], [8, 3, 2, 3]];
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
    this.logarithm = ticked("Log scale", (on) => {
      this.chart.logarithmic = on;
      redraw();
    });
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
    this.chart.steps = plotted.steps;
    this.chart.curves = chosen.startsWith(UNIT) ? this.ofUnits(name, state, plotted) : ofNumbers(name, state, plotted);
    this.chart.draw(plotted.place, plotted.theme);
    this.chart.canvas.setAttribute("aria-label", `${name || "no curve"} over the steps, ${this.chart.curves.length} curves`);
    say(this.meaning, this.texts[name.split("/").slice(0, 2).join("/")] ?? "");
    const key = JSON.stringify(this.chart.curves.map(({ name: words, colour, dash }) => [words, colour, dash]));
    if (this.legend.dataset.said !== key) {
      this.legend.dataset.said = key;
      this.legend.replaceChildren(...(this.chart.curves.length > 1 ? this.chart.curves.map(legendItem) : []));
    }
  }

  /** Fills the list of what there is. @param {State} state @param {Plotted} plotted */
  offer(state, { runs, layers }) {
    const known = new Set(layers.map(({ name }) => name));
    /** @type {Map<string, string>} */
    const choices = new Map();
    for (const name of runs.flatMap((run) => [...run.numbers()])) {
      const cut = name.lastIndexOf("/");
      if (cut > 0 && known.has(name.slice(cut + 1))) choices.set(name.slice(0, cut), `${name.slice(0, cut)} (each layer)`);
      else choices.set(name, name);
    }
    const ofUnits = state.pinned.length ? runs.flatMap((run) => run.records[run.records.length - 1].header.units) : [];
    for (const name of ofUnits) choices.set(UNIT + name, `pinned units: ${name}`);
    const offered = JSON.stringify([...choices]);
    if (offered !== this.offered) {
      this.offered = offered;
      this.choice.select.replaceChildren(...[...choices].map(([value, words]) => make("option", { value }, words)));
    }
    const first = FIRST.find((name) => choices.has(name)) ?? [...choices.keys()][0] ?? "";
    this.choice.select.value = choices.has(state.curve) ? state.curve : first;
  }

  /** @param {string} name @param {State} state @param {Plotted} plotted @returns {Curve[]} */
  ofUnits(name, state, plotted) {
    return plotted.runs.flatMap((run, number) => {
      run.unpackUnits().then((news) => news && this.redraw(), () => undefined); // a damaged sample is told when it is shown
      return state.pinned.map((key, order) => ({
        name: `${plotted.runs.length > 1 ? `${run.name} ` : ""}${parted(key).join(" ")}`,
        colour: plotted.colour(parted(key)[0]),
        dash: DASHES[(number + order) % DASHES.length],
        places: placesOf(run, plotted.steps),
        values: run.unitSeries(name, key),
      }));
    });
  }
}

/** @param {string} chosen @param {State} state @param {Plotted} plotted @returns {Curve[]} */
function ofNumbers(chosen, state, { runs, colour, steps, theme }) {
  return runs.flatMap((run, number) => {
    const places = placesOf(run, steps);
    const told = (/** @type {string} */ name) => (runs.length > 1 ? `${run.name} ${name}`.trim() : name);
    const dash = DASHES[number % DASHES.length];
    const known = run.numbers();
    if (known.has(chosen)) return [{ name: told(""), colour: theme.few[number % theme.few.length], dash, places, values: run.series(chosen) }];
    const layers = run.layers().filter(({ name }) => known.has(`${chosen}/${name}`) && !state.hiddenLayers.has(name));
    return layers.map(({ name }) => ({ name: told(name), colour: colour(name), dash, places, values: run.series(`${chosen}/${name}`) }));
  });
}

/** @param {Run} run @param {number[]} steps of all runs; returns where the run's own are among them */
function placesOf(run, steps) {
  const places = new Map(steps.map((step, place) => [step, place]));
  return run.steps.map((step) => places.get(step) ?? 0);
}

/** @param {Curve} curve */
function legendItem({ name, colour, dash }) {
  const line = make("span", { class: "bcb-line" });
  line.style.borderTopColor = colour;
  line.style.borderTopStyle = dash.length ? "dashed" : "solid";
  return make("span", { class: "bcb-key" }, line, name);
}

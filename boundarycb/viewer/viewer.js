// @ts-check
/**
 * The viewer: runs side by side, a slider over their steps, what to show, and curves. It knows neither TensorBoard nor Jupyter nor
 * files: a host gives it sources of runs, and takes what a reader chose as the end of an address.
 */

import { ChoiceBar, Transport } from "./bars.js";
import { scalarWords } from "./caption.js";
import { Curves } from "./curves.js";
import { make, save, say, ticked } from "./dom.js";
import { makeHelp, showHelp } from "./help.js";
import { shortNames } from "./names.js";
import { layerColours, themeOf } from "./palette.js";
import { SharedLegend } from "./legend.js";
import { Panel } from "./panel.js";
import { asPng, asSvg, fileName } from "./picture.js";
import { has, kept, number } from "./plot.js";
import { called, keyOf, parted, placeOf, Run } from "./run.js";
import { Finder, LayerList, PinnedList } from "./sidebar.js";
import { State } from "./state.js";

/** @typedef {import("./record.js").BoundaryRecord} BoundaryRecord */
/** @typedef {import("./run.js").View} View */
/** @typedef {import("./run.js").Layer} Layer */

/**
 * Where a run comes from. `load` gives what there is and, when it is called again, what came since.
 * @typedef {object} Source
 * @property {string} key what tells it from others
 * @property {string} name
 * @property {number} [of] how many samples the run took, where not all are here
 * @property {(take: Take) => Promise<void>} load
 */
/** @typedef {(scene: import("./run.js").Scene, records: BoundaryRecord[], anew: boolean) => void} Take anew: what was taken before is void */
/** @typedef {{ run: Run, view: View }} Shown */

/**
 * What a host may add.
 * @typedef {object} Host
 * @property {string} [fragment] the end of the address that the reader came with
 * @property {(fragment: string) => void} [remember] takes the end of an address when something was chosen
 * @property {(fragment: string) => string} [link] makes an address to send to others
 * @property {boolean} [alone] whether the page is the viewer's, so that keys mean it wherever the focus is
 * @property {() => boolean} [dark] whether the page around is dark
 * @property {Record<string, string>} [texts] what numbers mean, by their names without a layer's
 * @property {string} [few] what to do where not all samples are here
 */

const MANY_RUNS = 12; // more than this are filtered by a word
const MOST_PANELS = 12; // small plots of a run
const PAUSE = 300; // milliseconds in which nothing more is chosen before the address says it: browsers limit how often it may change
const HOST = "host"; // what fails that is no run
const AHEAD = 4; // samples that are unpacked before they are shown

/** What failed is the host, and no run of it: it is said once, until there are runs again. */
export class HostError extends Error {}

export class Viewer {
  /**
   * @param {HTMLElement} root what the viewer fills
   * @param {Host} host
   */
  constructor(root, host = {}) {
    this.host = host;
    this.state = stateOf(host.fragment ?? "");
    /** @type {Source[]} */
    this.sources = [];
    /** @type {Map<string, Run>} */
    this.runs = new Map();
    /** @type {Map<string, Promise<void>>} */
    this.loading = new Map();
    /** @type {Map<string, Panel>} */
    this.panels = new Map();
    /** @type {Map<Run, SharedLegend>} of runs whose layers lie side by side */
    this.legends = new Map();
    this.panelNames = "";
    this.hovered = "";
    /** @type {Element | null} what the pointer is on that means this unit */
    this.hoveredOn = null;
    this.timer = 0;
    this.frame = 0;
    this.playing = false;
    /** @type {Map<string, string>} what is wrong, by what it is wrong with */
    this.failed = new Map();
    this.told = "";
    this.remembering = 0;
    /** @type {Map<Run, { record: BoundaryRecord, view: View }>} what is shown: it stays, however small the cache is */
    this.held = new Map();
    /** @type {Set<BoundaryRecord>} samples of a trail that were asked for since something else is shown */
    this.asked = new Set();
    this.askedFor = "";
    this.offered = "";
    this.root = root;
    const change = (/** @type {(state: State) => void} */ act) => this.change(() => act(this.state));
    this.redraw = () => this.schedule();
    this.hearKey = (/** @type {KeyboardEvent} */ event) => this.key(event);
    const acts = {
      toggleLayer: (/** @type {string} */ name) => change(({ hiddenLayers }) => flip(hiddenLayers, name)),
      onlyLayer: (/** @type {string} */ name) => this.only(name),
      allLayers: (/** @type {boolean} */ on) => change(({ hiddenLayers }) => this.showLayers(hiddenLayers, on)),
      allUnits: (/** @type {string[]} */ keys, /** @type {boolean} */ on) => change(({ hiddenUnits }) => set(hiddenUnits, keys, !on)),
      toggleUnit: (/** @type {string} */ key) => change(({ hiddenUnits }) => flip(hiddenUnits, key)),
      pin: (/** @type {string} */ key) => this.pin(key),
      pinOnly: (/** @type {string[]} */ keys) => change((state) => (state.pinned = keys)),
      redraw: this.redraw,
    };
    this.layerList = new LayerList(acts);
    this.pinnedList = new PinnedList(acts);
    this.finder = new Finder(acts);
    this.bar = new ChoiceBar({
      change,
      whole: () => this.look({ x: 0.5, y: 0.5, zoom: 1 }),
      keep: (kind) => void this.keep(kind),
      share: host.link ? () => void this.share() : null,
      help: () => showHelp(this.help),
      shade: () => change((state) => (state.dark = !this.theme().dark)),
    });
    this.transport = new Transport({
      change,
      go: (place) => this.go(place),
      move: (by) => this.move(by),
      play: () => this.play(!this.playing),
    });
    this.curves = new Curves(change, (place) => this.go(place), this.redraw, host.texts ?? {});
    this.help = makeHelp();
    this.notice = make("p", { class: "bcb-notice", role: "status" });
    this.spoken = make("p", { class: "bcb-spoken", "aria-live": "polite" });
    this.runPicker = make("fieldset", { class: "bcb-runs" });
    this.plots = make("div", { class: "bcb-plots" });
    this.sizes = new ResizeObserver(this.redraw);
    this.preference = window.matchMedia("(prefers-color-scheme: dark)");
    this.build();
  }

  // ------------------------------------------------------------------------------------------------------------ the page

  /** Puts the parts on the page. */
  build() {
    this.runPicker.hidden = true;
    const main = make("div", { class: "bcb-main" }, this.plots, this.transport.element, this.curves.element);
    const side = make("div", { class: "bcb-side" }, this.layerList.element, this.pinnedList.element, this.finder.element);
    side.addEventListener("pointerover", (event) => {
      const on = /** @type {HTMLElement} */ (event.target).closest("[data-meant]");
      this.hover(on instanceof HTMLElement ? (on.dataset.meant ?? "") : "", on);
    });
    side.addEventListener("pointerleave", () => this.hover("", null));
    this.root.classList.add("bcb");
    const body = make("div", { class: "bcb-body" }, main, side);
    const frame = make("div", { class: "bcb-frame" }, this.runPicker, this.bar.element, this.notice, body);
    this.root.replaceChildren(frame, this.spoken, this.help);
    this.listensOn = this.host.alone ? document.body : this.root;
    this.listensOn.addEventListener("keydown", this.hearKey);
    this.sizes.observe(this.root);
    this.preference.addEventListener("change", this.redraw);
  }

  /** Lets go of what outlives the page's part: for hosts that take it away. */
  close() {
    this.play(false);
    this.sizes.disconnect();
    this.preference.removeEventListener("change", this.redraw);
    this.listensOn?.removeEventListener("keydown", this.hearKey);
    window.clearTimeout(this.remembering);
    cancelAnimationFrame(this.frame);
  }

  theme() {
    const dark = this.state.dark ?? this.host.dark?.() ?? this.preference.matches;
    return themeOf(dark);
  }

  // ---------------------------------------------------------------------------------------------------------------- runs

  /**
   * Says which runs there are. Those that were chosen stay so; at first it is the first one.
   * @param {Source[]} sources
   */
  async offer(sources) {
    this.sources = sources;
    this.failed.delete(HOST);
    this.drawPicker();
    this.schedule();
    await this.reload();
  }

  /** Loads what came since. */
  async reload() {
    await Promise.all(this.chosen().map(async (source) => this.load(source)));
  }

  chosen() {
    const wanted = this.state.runs ?? [];
    const found = this.sources.filter(({ key }) => wanted.includes(key));
    return found.length ? found : this.sources.slice(0, 1);
  }

  /** @param {Source} source */
  load(source) {
    const busy = this.loading.get(source.key);
    if (busy) return busy;
    this.failed.delete(HOST); // what is around is asked anew
    const work = source
      .load((scene, records, anew) => {
        const before = this.runs.get(source.key);
        const run = before?.scene === scene ? before : new Run(source.key, source.name, scene);
        this.runs.set(source.key, run);
        if (anew) run.clear();
        run.add(records);
        if (source.of) run.total = Math.max(run.total, source.of);
        this.schedule();
      })
      .then(
        () => void this.failed.delete(source.key),
        (/** @type {Error} */ error) => {
          if (error instanceof HostError) this.failAround(error.message);
          else this.fail(source.key, `${source.name}: ${error.message}`);
        },
      )
      .finally(() => {
        this.loading.delete(source.key);
        this.schedule();
      });
    this.loading.set(source.key, work);
    return work;
  }

  /** Says that something failed, until it does not any more. @param {string} what @param {string} words */
  fail(what, words) {
    this.failed.set(what, words);
    this.schedule();
  }

  /** Says that what is around the viewer failed. @param {string} words */
  failAround(words) {
    this.fail(HOST, words);
  }

  /** Lists the runs; those that are listed already stay as they are, and so does the focus. */
  drawPicker() {
    const offered = JSON.stringify(this.sources.map(({ key, name }) => [key, name]));
    if (offered !== this.offered) {
      this.offered = offered;
      const filter = make("input", { type: "search", placeholder: "filter", "aria-label": "filter runs" });
      filter.addEventListener("input", () => {
        for (const label of this.runPicker.querySelectorAll("label")) label.hidden = !label.textContent?.includes(filter.value);
      });
      const ticks = this.sources.map((source) => {
        const tick = ticked(source.name, () => this.chooseRun(source.key));
        tick.input.dataset.run = source.key;
        return tick.label;
      });
      this.runPicker.replaceChildren(make("legend", {}, "Runs"), this.sources.length > MANY_RUNS ? filter : "", ...ticks);
    }
    this.runPicker.hidden = this.sources.length < 2;
    const chosen = new Set(this.chosen().map(({ key }) => key));
    for (const input of this.runPicker.querySelectorAll("input")) {
      const before = input.checked;
      if (input.dataset.run !== undefined) input.checked = chosen.has(input.dataset.run);
      if (input.checked && !before && offered !== this.seenRuns) input.scrollIntoView({ block: "nearest" });
    }
    this.seenRuns = offered;
  }

  /** @param {string} key */
  chooseRun(key) {
    const before = this.chosen().map((source) => source.key);
    const others = before.filter((known) => known !== key);
    const next = before.includes(key) ? (others.length ? others : before) : [...before, key]; // one is always shown
    this.change(() => (this.state.runs = next));
    this.drawPicker();
    void this.reload();
  }

  /** Returns the runs that are shown, as far as any of their samples is here. */
  shownRuns() {
    return this.chosen().flatMap(({ key }) => {
      const run = this.runs.get(key);
      return run?.records.length ? [run] : [];
    });
  }

  // --------------------------------------------------------------------------------------------------------------- steps

  /** Returns the steps at which any of the runs that are shown has a sample. */
  steps() {
    const all = new Set(this.shownRuns().flatMap(({ steps }) => steps));
    return [...all].sort((one, other) => one - other);
  }

  /** @param {number[]} steps; returns the place of the step that is shown */
  placeIn(steps) {
    const { step } = this.state;
    if (step === null) return steps.length - 1;
    let place = 0;
    while (place + 1 < steps.length && steps[place + 1] <= step) place++;
    return place;
  }

  /** @param {number} place among the steps */
  go(place) {
    const steps = this.steps();
    const next = Math.min(Math.max(place, 0), steps.length - 1);
    this.change(() => (this.state.step = next === steps.length - 1 ? null : steps[next]));
  }

  /** @param {number} by */
  move(by) {
    this.go(this.placeIn(this.steps()) + by);
  }

  /** @param {boolean} on */
  play(on) {
    window.clearTimeout(this.timer);
    const steps = this.steps();
    this.playing = on && steps.length > 1;
    if (this.playing && this.placeIn(steps) === steps.length - 1) this.go(0);
    if (this.playing) this.timer = window.setTimeout(() => void this.tick(), 1000 / this.state.speed);
    this.schedule();
  }

  /** Shows the next sample when it is unpacked and its time has come. */
  async tick() {
    const steps = this.steps();
    const place = this.placeIn(steps) + 1;
    if (place >= steps.length) return this.play(false);
    const start = performance.now();
    await this.prepared(steps, place).catch(() => undefined); // a damaged sample is told when it is shown
    if (!this.playing) return undefined;
    this.go(place);
    const pause = Math.max(0, 1000 / this.state.speed - (performance.now() - start));
    this.timer = window.setTimeout(() => void this.tick(), pause);
    return undefined;
  }

  /** @param {number[]} steps @param {number} place; unpacks the samples there, and begins with those behind it */
  async prepared(steps, place) {
    const runs = this.shownRuns();
    for (let ahead = 1; ahead <= AHEAD && place + ahead < steps.length; ahead++) {
      for (const run of runs) run.view(run.placeAt(steps[place + ahead])).catch(() => undefined);
    }
    await Promise.all(runs.map((run) => run.view(run.placeAt(steps[place]))));
  }

  // ------------------------------------------------------------------------------------------------------------- choices

  /** @param {() => void} act; does what a reader chose, and shows it */
  change(act) {
    act();
    this.schedule();
    window.clearTimeout(this.remembering);
    this.remembering = window.setTimeout(() => this.host.remember?.(this.state.fragment()), PAUSE);
  }

  /**
   * Shows what an address says that was pasted into an open page, and nothing of what was chosen before.
   * @param {string} fragment the end of the address @param {string[] | null} runs those that are shown where it names none
   */
  adopt(fragment, runs) {
    window.clearTimeout(this.remembering); // what was chosen before would overwrite it
    this.play(false);
    this.state = stateOf(fragment);
    this.state.runs ??= runs;
    this.drawPicker();
    this.schedule();
    void this.reload();
  }

  /** @param {import("./plot.js").Sight} sight */
  look(sight) {
    this.change(() => (this.state.sight = sight));
  }

  /** @param {Set<string>} hidden names of layers @param {boolean} on */
  showLayers(hidden, on) {
    set(hidden, this.layers().map(({ name }) => name), !on);
  }

  /** @param {string} name of a layer */
  only(name) {
    this.change(() => {
      const { hiddenLayers } = this.state;
      const others = this.layers().map((layer) => layer.name).filter((other) => other !== name);
      const alone = !hiddenLayers.has(name) && others.every((other) => hiddenLayers.has(other));
      hiddenLayers.clear();
      if (!alone) for (const other of others) hiddenLayers.add(other); // once more brings all of them back
    });
  }

  /** @param {string} key of a unit */
  pin(key) {
    const { pinned } = this.state;
    this.change(() => (this.state.pinned = pinned.includes(key) ? pinned.filter((known) => known !== key) : [...pinned, key]));
    const [name, index] = parted(key);
    say(this.spoken, `${this.state.pinned.includes(key) ? "Pinned" : "Let go of"} ${called(name, placeOf(this.layers().find((layer) => layer.name === name), index))}`);
  }

  /** @param {string} key of a unit, or empty @param {Element | null} on what the pointer is on */
  hover(key, on) {
    this.hoveredOn = on;
    if (key === this.hovered) return;
    this.hovered = key;
    this.schedule();
  }

  /** @param {KeyboardEvent} event */
  key(event) {
    const target = /** @type {HTMLElement} */ (event.target);
    if (event.altKey || event.ctrlKey || event.metaKey || usesItself(target, event.key)) return;
    /** @type {Record<string, () => void>} */
    const acts = {
      ArrowLeft: () => this.move(-1),
      ArrowRight: () => this.move(1),
      Home: () => this.go(0),
      End: () => this.go(Infinity),
      "+": () => this.change(() => this.state.hurry(1)),
      "=": () => this.change(() => this.state.hurry(1)),
      "-": () => this.change(() => this.state.hurry(-1)),
      " ": () => this.play(!this.playing),
      Escape: () => this.change(() => (this.state.pinned = [])),
    };
    const act = acts[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  }

  /** @param {"png" | "svg"} kind */
  async keep(kind) {
    const items = this.shownRuns().flatMap((run) => {
      const view = this.viewOf(run, run.placeAt(this.shownStep()));
      if (!view) return [];
      const plots = this.layersBeside(run)?.map((name) => ({ name, choice: this.choiceOf(run, name) }));
      return [{ name: run.name, scene: run.scene, view, choice: this.choiceOf(run, ""), wanted: this.state.background, plots }];
    });
    if (!items.length) return;
    const content = kind === "svg" ? asSvg(items, this.state.sight) : await asPng(items, this.state.sight);
    if (content) save(content, fileName(items, kind));
  }

  async share() {
    const shown = new State();
    shown.take(this.state.fragment());
    shown.step = this.shownStep(); // also where the last one is shown: the run may grow
    const address = this.host.link?.(shown.fragment()) ?? "";
    try {
      await navigator.clipboard.writeText(address);
      this.tell("The address is copied.");
    } catch {
      const field = make("input", { value: address, readOnly: true, "aria-label": "address" });
      field.addEventListener("blur", () => {
        field.remove();
        this.schedule();
      });
      this.notice.hidden = false;
      this.notice.replaceChildren("Copy this address: ", field);
      field.focus();
      field.select();
    }
  }

  /** @param {string} words; says them for a while */
  tell(words) {
    this.told = words;
    this.schedule();
    window.setTimeout(() => {
      this.told = "";
      this.schedule();
    }, 4000);
  }

  // ------------------------------------------------------------------------------------------------------------- drawing

  schedule() {
    this.root.dataset.pending = "";
    if (this.frame) return;
    this.frame = requestAnimationFrame(() => {
      this.frame = 0;
      this.draw();
    });
  }

  shownStep() {
    const steps = this.steps();
    return steps[this.placeIn(steps)] ?? 0;
  }

  layers() {
    /** @type {Map<string, Layer>} */
    const found = new Map();
    for (const run of this.shownRuns()) for (const layer of run.layers()) if (!found.has(layer.name)) found.set(layer.name, layer);
    return [...found.values()];
  }

  /** @param {Run} run @param {string} layer the one that is shown, or empty for all @returns {import("./plot.js").Choice} */
  choiceOf(run, layer) {
    const { state } = this;
    const theme = this.theme();
    const layerShown = (/** @type {string} */ name) => (layer ? name === layer : !state.hiddenLayers.has(name));
    const view = this.viewOf(run, run.placeAt(this.shownStep()));
    return {
      background: view && !has(run.scene, view, state.background) ? "none" : state.background,
      layerShown,
      shown: (name, index) => layerShown(name) && !(state.hiddenUnits.size && state.hiddenUnits.has(keyOf(name, index))),
      colour: this.colours(),
      named: this.names(),
      pinned: layer ? state.pinned.filter((key) => parted(key)[0] === layer) : state.pinned,
      hovered: layer && parted(this.hovered)[0] !== layer ? "" : this.hovered,
      trail: state.pinned.length ? this.trailOf(run) : [],
      marks: state.marks,
      border: state.border,
      theme,
    };
  }

  /** Returns what gives each layer its colour: the same one in all runs. */
  colours() {
    const found = layerColours(this.shownRuns().map((run) => run.layers().map(({ name }) => name)), this.theme());
    return (/** @type {string} */ name) => found.get(name) ?? this.theme().ink;
  }

  /** Returns what gives each layer a short name: the same one in all runs and everywhere on the page. */
  names() {
    const short = shortNames(this.layers().map(({ name }) => name));
    return (/** @type {string} */ name) => short.get(name) ?? name;
  }

  /** @param {Run} run @param {number} place; returns a sample if it is unpacked */
  viewOf(run, place) {
    const held = this.held.get(run);
    return held && held.record === run.records[place] ? held.view : run.peek(place);
  }

  /** @param {Run} run @returns {View[]} the samples before the one that is shown, oldest first, as far as they are unpacked */
  trailOf(run) {
    const place = run.placeAt(this.shownStep());
    const found = [];
    for (let earlier = Math.max(0, place - this.state.trail); earlier < place; earlier++) {
      const view = run.peek(earlier);
      if (view) found.push(view);
      else if (!this.asked.has(run.records[earlier])) {
        this.asked.add(run.records[earlier]); // once: where they do not fit into memory together, the trail is shorter
        run.view(earlier).then(this.redraw, () => undefined);
      }
    }
    return found;
  }

  draw() {
    const steps = this.steps();
    const place = this.placeIn(steps);
    const step = steps[place] ?? 0;
    const theme = this.theme();
    this.root.dataset.theme = theme.dark ? "dark" : "light";
    this.arrange();
    const runs = this.shownRuns();
    const asking = JSON.stringify([step, this.state.pinned, this.state.trail, runs.map(({ key }) => key)]);
    if (asking !== this.askedFor) this.asked.clear();
    this.askedFor = asking;
    const shown = runs.flatMap((run) => this.shownOf(run, step));
    const ready = runs.every((run) => shown.some((one) => one.run === run) || run.damaged.has(run.records[run.placeAt(step)]));
    const [colour, named] = [this.colours(), this.names()];
    if (ready) {
      this.drawPanels(shown);
      this.bar.update(this.state, shown, theme.dark);
      this.layerList.update(this.layers(), this.state, { colour, named }, shown);
      this.pinnedList.update(this.state, { colour, named }, shown);
      this.finder.update(shown, named);
    }
    if (this.hoveredOn && !this.hoveredOn.isConnected) this.hover("", null); // what is taken away tells of no leave
    this.transport.update(this.state, steps, place, this.playing);
    this.drawNotice();
    this.curves.update(this.state, { runs, layers: this.layers(), colour, named, steps, place, theme });
    if (ready && shown.length) this.root.dataset.drawn = `${step} ${runs.map((run) => run.records.length).join(" ")}`;
    if (ready && !this.frame) delete this.root.dataset.pending;
  }

  /** @param {Run} run @param {number} step @returns {Shown[]} the sample that is shown of a run, if it is unpacked */
  shownOf(run, step) {
    const at = run.placeAt(step);
    const record = run.records[at];
    const cause = `${run.key} sample`;
    const view = this.viewOf(run, at);
    if (view) {
      this.held.set(run, { record, view });
      this.failed.delete(cause);
      return [{ run, view }];
    }
    const damage = run.damaged.get(record);
    if (damage) this.failed.set(cause, `${run.name}, step ${number(run.steps[at])}: ${damage.message}`);
    else {
      run.view(at).then(
        (unpacked) => {
          this.held.set(run, { record, view: unpacked });
          this.schedule();
        },
        () => this.schedule(),
      );
    }
    return [];
  }

  /** @param {Run} run; returns the layers that have plots of their own, side by side; null where all lie in one */
  layersBeside(run) {
    if (this.state.arrangement === "together") return null;
    const names = run.layers().map(({ name }) => name);
    return names.filter((name) => !this.state.hiddenLayers.has(name)).slice(0, MOST_PANELS);
  }

  /** Puts the panels on the page that are needed, and takes the others away. */
  arrange() {
    const runs = this.shownRuns();
    const wanted = runs.flatMap((run) => (this.layersBeside(run) ?? [""]).map((layer) => ({ run, layer })));
    const names = JSON.stringify(wanted.map(({ run, layer }) => [run.key, layer]));
    if (names === this.panelNames && wanted.every(({ run, layer }) => this.panels.get(`${run.key}\n${layer}`)?.run === run)) return;
    this.panelNames = names;
    const listener = {
      sight: () => this.state.sight,
      look: (/** @type {any} */ sight) => this.look(sight),
      hover: (/** @type {string} */ key, /** @type {Element} */ on) => this.hover(key, on),
      pin: (/** @type {string} */ key) => this.pin(key),
    };
    const before = this.panels;
    this.panels = new Map();
    for (const { run, layer } of wanted) {
      const name = `${run.key}\n${layer}`;
      const known = before.get(name);
      this.panels.set(name, known?.run === run ? known : new Panel(run, layer, listener));
    }
    const many = this.state.arrangement === "layers";
    const shown = many ? [...new Set(wanted.map(({ run }) => run))] : [];
    this.legends = new Map(shown.map((run) => [run, this.legends.get(run) ?? new SharedLegend()]));
    const panels = [...this.panels.values()];
    const elements = shown.flatMap((run) => {
      const legend = /** @type {SharedLegend} */ (this.legends.get(run));
      return [legend.above, ...panels.filter((panel) => panel.run === run).map(({ element }) => element), legend.below];
    });
    this.plots.replaceChildren(...(many ? elements : panels.map(({ element }) => element)));
    this.plots.classList.toggle("bcb-many", many);
  }

  /** @param {Shown[]} shown */
  drawPanels(shown) {
    const views = new Map(shown.map(({ run, view }) => [run, view]));
    for (const panel of this.panels.values()) {
      const view = views.get(panel.run);
      if (!view) continue;
      const choice = this.choiceOf(panel.run, panel.layer);
      panel.draw(view, choice);
      if (panel.legend) this.drawLegend(panel.legend, panel.run, view, choice);
      else panel.name(choice.named(panel.layer));
    }
    for (const [run, legend] of this.legends) {
      const view = views.get(run);
      if (view) this.drawLegend(legend, run, view, this.choiceOf(run, ""));
    }
  }

  /** @param {import("./legend.js").Legend} legend @param {Run} run @param {View} view @param {import("./plot.js").Choice} choice */
  drawLegend(legend, run, view, choice) {
    legend.update(this.titleOf(run, view), run.scene, view, choice, this.state.background, this.state.sight.zoom);
  }

  /** @param {Run} run @param {View} view */
  titleOf(run, view) {
    const several = this.shownRuns().length > 1;
    return [...(several || this.sources.length > 1 ? [run.name] : []), `step ${number(view.step)}`, ...scalarWords(view, 3)].join(" · ");
  }

  /** Says what is wrong, and what of the runs is not here. */
  drawNotice() {
    if (this.notice.contains(document.activeElement)) return; // an address to copy stands there
    const runs = this.shownRuns();
    const waiting = !runs.length && this.loading.size ? ["Loading …"] : [];
    const unknown = this.loading.size || this.failed.has(HOST);
    const none = this.sources.length || unknown ? [] : ["No run has boundaries yet."];
    const missing = runs.flatMap((run) => this.missingOf(run));
    const layers = this.layers().filter(({ name }) => !this.state.hiddenLayers.has(name)).length;
    const many = this.state.arrangement === "layers" && layers > MOST_PANELS ? [`${MOST_PANELS} of ${layers} layers are shown side by side.`] : [];
    const parts = [...this.failed.values(), this.told, ...missing, ...many, ...waiting, ...none].filter((words) => words);
    this.notice.classList.toggle("bcb-alarm", this.failed.size > 0);
    say(this.notice, parts.join(" "));
    this.notice.hidden = !parts.length;
  }

  /** @param {Run} run; returns in words which of its samples are not here */
  missingOf(run) {
    if (this.loading.has(run.key)) return [];
    const name = this.sources.length > 1 ? `${run.name}: ` : "";
    const last = run.records[run.records.length - 1].header;
    const earlier = run.scene.first ? [`${name}the first ${number(run.scene.first)} samples of this run were taken before, and are not here.`] : [];
    if (run.records.length >= run.total) return earlier;
    const few = `${name}${number(run.records.length)} of ${number(run.total)} samples.`;
    const every = last.every > 1 ? `Of a long run every ${last.every}th sample is written in the end.` : (this.host.few ?? "");
    return [...earlier, few, every];
  }
}

/** @param {HTMLElement} control @param {string} key; returns whether it does something with the key by itself */
function usesItself(control, key) {
  if (/^(SELECT|TEXTAREA)$/.test(control.tagName)) return true;
  if (/^(BUTTON|SUMMARY)$/.test(control.tagName)) return key === " ";
  if (!(control instanceof HTMLInputElement)) return false;
  if (control.type === "range") return /^(Arrow|Page|Home|End)/.test(key);
  return control.type !== "checkbox" || key === " ";
}

/** @param {string} fragment the end of an address; returns what it says */
function stateOf(fragment) {
  const state = new State();
  state.take(fragment);
  state.sight = kept(state.sight);
  return state;
}

/** @param {Set<string>} chosen @param {string} name */
function flip(chosen, name) {
  if (!chosen.delete(name)) chosen.add(name);
}

/** @param {Set<string>} chosen @param {string[]} names @param {boolean} on whether they are among the chosen then */
function set(chosen, names, on) {
  for (const name of names) {
    if (on) chosen.add(name);
    else chosen.delete(name);
  }
}

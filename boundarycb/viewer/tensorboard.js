// @ts-check
/**
 * The host in TensorBoard's tab: an iframe of TensorBoard's own origin. What TensorBoard says comes over a message channel, by the
 * protocol of its plugins ("experimental" in name since 2020); where it says nothing, the tab goes without.
 */

import { make } from "./dom.js";
import { FormatError, readRecords } from "./record.js";
import { Scene } from "./run.js";
import { HostError, Viewer } from "./viewer.js";

const PLUGIN = "boundaries";
const STATE = `p.${PLUGIN}.state`; // in TensorBoard's address: its plugins' own parts begin so

/** @typedef {{ key: string, run: string, tag: string, name: string, time: number }} Series */
/** @typedef {{ page: any, scene: import("./record.js").BoundaryRecord, views: import("./record.js").BoundaryRecord[], problem: string }} Answer */

/** The channel to the page around. */
class Channel {
  constructor() {
    const { port1, port2 } = new MessageChannel();
    this.port = port1;
    /** @type {Map<string, () => void>} */
    this.listeners = new Map();
    this.port.onmessage = ({ data }) => this.hear(JSON.parse(data));
    window.parent.postMessage("experimental.bootstrap", "*", [port2]);
  }

  /** @param {any} message */
  hear({ type, id, isReply }) {
    if (isReply) return;
    this.listeners.get(type)?.();
    this.port.postMessage(JSON.stringify({ type, id, payload: null, error: null, isReply: true }));
  }
}

/** One run of TensorBoard's, loaded page by page: the last sample first, so that there is something to see at once. */
class Feed {
  /** @param {Series} series */
  constructor(series) {
    this.key = series.key;
    this.name = series.name;
    this.series = series;
    this.after = "";
    /** @type {Scene | null} */
    this.scene = null;
    this.told = ""; // by the scene's header
  }

  /** @param {import("./viewer.js").Take} take */
  async load(take) {
    if (!this.after) await this.show(await this.fetch({ last: "1" }), true, take);
    /** @type {import("./record.js").BoundaryRecord[]} */
    const found = [];
    let anew = false;
    let more = true;
    while (more) {
      const answer = await this.fetch({ after: this.after });
      if (answer.page.anew) {
        anew = true;
        found.length = 0;
      }
      found.push(...answer.views);
      this.after = answer.page.last;
      more = answer.page.more;
      if (!more) await this.show({ ...answer, views: found }, anew, take);
    }
  }

  /** @param {Answer} answer @param {boolean} anew @param {import("./viewer.js").Take} take */
  async show({ scene, views, problem }, anew, take) {
    const told = JSON.stringify(scene.header);
    if (!this.scene || told !== this.told) {
      this.scene = await Scene.of(scene);
      this.told = told;
      anew = true;
    }
    if (views.length || anew) take(this.scene, views, anew);
    if (problem) throw new FormatError(problem);
  }

  /** @param {Record<string, string>} query @returns {Promise<Answer>} */
  async fetch(query) {
    const { run, tag } = this.series;
    const { ok, body } = await asked(`frames?${new URLSearchParams({ run, tag, ...query })}`);
    if (!ok) throw new FormatError(textOf(body));
    const { records, problem } = readRecords(body);
    const [page, scene, ...views] = records;
    if (!scene) throw new FormatError(problem || "TensorBoard's answer is cut off.");
    return { page: problem ? { ...page.header, more: false } : page.header, scene, views, problem };
  }
}

/** @param {string} address; returns TensorBoard's answer, of whatever kind it is, once it is here whole */
async function asked(address) {
  try {
    const answer = await fetch(address);
    return { ok: answer.ok, body: new Uint8Array(await answer.arrayBuffer()) }; // it may end in the middle of an answer, too
  } catch {
    throw new HostError("TensorBoard does not answer."); // browsers differ in what they say then
  }
}

/** @param {Uint8Array} body of an answer */
function textOf(body) {
  return new TextDecoder().decode(body);
}

/** Whether TensorBoard is dark: it says so by a class of its page. */
function isDark() {
  try {
    return window.parent.document.body.classList.contains("dark-mode");
  } catch {
    return window.matchMedia("(prefers-color-scheme: dark)").matches;
  }
}

/** @param {string} fragment; returns TensorBoard's address with what a reader chose */
function linkTo(fragment) {
  const address = window.parent.location.href.split("#")[0];
  return `${address}#${PLUGIN}&${STATE}=${encodeURIComponent(fragment)}`;
}

/** What a reader chose who made the address that this one came with. */
function stateInAddress() {
  try {
    const parts = window.parent.location.hash.split("&").map((part) => part.split("="));
    return decodeURIComponent(parts.find(([name]) => name === STATE)?.[1] ?? "");
  } catch {
    return ""; // another origin around it, or an address that nobody made here
  }
}

/**
 * Calls `take` when an address with what a reader chose is pasted over TensorBoard's. It writes its own addresses, when another tab is
 * chosen, say: they have no such part, and mean nothing here.
 * @param {(fragment: string) => void} take
 */
function hearAddress(take) {
  const hear = () => {
    const fragment = stateInAddress();
    if (fragment) take(fragment);
  };
  try {
    const around = window.parent;
    around.addEventListener("hashchange", hear);
    window.addEventListener("pagehide", () => around.removeEventListener("hashchange", hear)); // the tab goes, and TensorBoard stays
  } catch {
    // another origin around it, whose address is not to be had
  }
}

/** Shows the tab. TensorBoard calls this. */
export async function render() {
  document.head.append(make("link", { rel: "stylesheet", href: "viewer.css" }));
  document.body.style.margin = "0";
  const root = make("main", {});
  root.style.minHeight = "100vh";
  document.body.append(root);
  const channel = new Channel();
  const texts = await fetch("texts").then((answer) => answer.json()).catch(() => ({}));
  const few = `Start TensorBoard without --samples_per_plugin ${PLUGIN}=… to see all that were written.`;
  const viewer = new Viewer(root, { fragment: stateInAddress(), link: linkTo, dark: isDark, texts, few, alone: true });
  /** @type {Map<string, Feed>} */
  const feeds = new Map();
  const refresh = async () => {
    try {
      /** @type {Series[]} */
      const listed = JSON.parse(textOf((await asked("runs")).body));
      for (const series of listed) if (!feeds.has(series.key)) feeds.set(series.key, new Feed(series));
      const latest = listed.reduce((one, other) => (other.time > one.time ? other : one), listed[0]);
      if (latest) viewer.state.runs ??= [latest.key]; // and it stays, also when another one becomes the latest
      const sources = listed.flatMap(({ key }) => feeds.get(key) ?? []);
      await viewer.offer(sources.map((feed) => ({ key: feed.key, name: feed.name, load: (take) => feed.load(take) })));
    } catch (error) {
      const { message } = /** @type {Error} */ (error);
      viewer.failAround(error instanceof HostError ? message : `TensorBoard's answer cannot be read: ${message}`);
    }
  };
  channel.listeners.set("experimental.DataReloaded", () => void refresh());
  channel.listeners.set("experimental.RunsChanged", () => void refresh());
  try {
    new MutationObserver(() => viewer.schedule()).observe(window.parent.document.body, { attributeFilter: ["class"] });
  } catch {
    // another origin around it: then it is as light or dark as the system
  }
  hearAddress((fragment) => viewer.adopt(fragment, viewer.state.runs));
  await refresh();
}

// @ts-check
/** The host in a notebook: anywidget gives the runs, packed, as one of the widget's traits. */

import { make } from "./dom.js";
import { inflated, readBundle } from "./record.js";
import { Scene } from "./run.js";
import { Viewer } from "./viewer.js";

/** @typedef {{ get(name: string): any }} Model */

const SHOWN_FIRST = 4; // runs side by side at first

/** Whether the notebook is dark: JupyterLab and VS Code say so by an attribute or a class of the body. */
function isDarkNotebook() {
  const { dataset, classList } = document.body;
  if (dataset.jpThemeLight) return dataset.jpThemeLight === "false";
  if (dataset.vscodeThemeKind) return dataset.vscodeThemeKind.includes("dark") || classList.contains("vscode-dark");
  return window.matchMedia("(prefers-color-scheme: dark)").matches;
}

/** @param {{ model: Model, el: HTMLElement }} place */
async function renderWidget({ model, el }) {
  const root = make("div", {});
  root.style.setProperty("--bcb-height", `${model.get("height")}px`); // plots fit into it, and not into the window
  root.style.maxHeight = `${model.get("height")}px`;
  root.style.overflow = "auto";
  el.append(root);
  const { buffer, byteOffset, byteLength } = /** @type {DataView} */ (model.get("runs"));
  const runs = readBundle(await inflated(new Uint8Array(buffer, byteOffset, byteLength), "gzip"));
  const few = "The others were left out; `max_frames` and `max_bytes` say how many are taken.";
  const viewer = new Viewer(root, { dark: isDarkNotebook, texts: model.get("texts"), few });
  viewer.state.runs = runs.slice(0, SHOWN_FIRST).map(({ name }) => name);
  const sources = runs.map(({ name, of, records: [scene, ...views] }) => ({
    key: name,
    name,
    of,
    load: async (/** @type {import("./viewer.js").Take} */ take) => take(await Scene.of(scene), views, true),
  }));
  await viewer.offer(sources);
  return () => viewer.close();
}

export default { render: renderWidget };

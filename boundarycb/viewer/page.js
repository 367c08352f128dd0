// @ts-check
/** The host of a page of its own: the runs are in the page, packed, and nothing is loaded. */

import { inflated, readBundle } from "./record.js";
import { Scene } from "./run.js";
import { Viewer } from "./viewer.js";

const MOST_SHOWN = 4; // runs side by side at first

/** @param {string} id; returns the text of a part of the page */
function textOf(id) {
  return document.getElementById(id)?.textContent ?? "";
}

/** @param {string} words in base64 */
function bytesOf(words) {
  return Uint8Array.from(atob(words.trim()), (sign) => sign.charCodeAt(0));
}

const framed = location.protocol === "about:"; // inside a notebook's cell, say: there is no address

/** @param {string} fragment; keeps it in the address, so that a reload shows the same */
function remember(fragment) {
  try {
    if (!framed) history.replaceState(null, "", `#${fragment}`);
  } catch {
    // a browser that has had enough of it: the next time will do
  }
}

/** Shows the page's runs. */
async function open() {
  const root = /** @type {HTMLElement} */ (document.getElementById("viewer"));
  try {
    const runs = readBundle(await inflated(bytesOf(textOf("runs")), "gzip"));
    const viewer = new Viewer(root, {
      fragment: location.hash,
      alone: true,
      remember,
      link: framed ? undefined : (fragment) => `${location.href.split("#")[0]}#${fragment}`,
      texts: JSON.parse(textOf("texts") || "{}"),
      few: "The others were left out to keep this page small.",
    });
    const first = runs.slice(0, MOST_SHOWN).map(({ name }) => name);
    viewer.state.runs ??= first;
    window.addEventListener("hashchange", () => viewer.adopt(location.hash, first)); // replaceState, as above, tells of none
    await viewer.offer(
      runs.map(({ name, of, records: [scene, ...views] }) => ({
        key: name,
        name,
        of,
        load: async (take) => take(await Scene.of(scene), views, true),
      })),
    );
  } catch (error) {
    root.textContent = `This page cannot be shown: ${/** @type {Error} */ (error).message}`;
  }
}

void open();

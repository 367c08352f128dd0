// @ts-check
/** Makes elements. Words are set as text, never as HTML: names of layers, classes and runs are the user's. */

/**
 * Returns a new element.
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} options `class`; `on<event>` for what listens; else properties of the element or, with a dash or where there is no such property, attributes
 * @param {...(Node | string | null)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function make(tag, options = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(options)) {
    if (name === "class") element.className = value;
    else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && !name.includes("-")) /** @type {any} */ (element)[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(.../** @type {(Node | string)[]} */ (children.filter((child) => child !== null)));
  return element;
}

/**
 * Returns a button.
 * @param {string} words
 * @param {() => void} act
 * @param {Record<string, any>} options
 */
export function button(words, act, options = {}) {
  return make("button", { type: "button", onclick: act, ...options }, words);
}

/**
 * Returns a list to choose from, with its label.
 * @param {string} label
 * @param {[string, string][]} choices values and words
 * @param {(value: string) => void} act
 */
export function chooser(label, choices, act) {
  const select = make("select", { onchange: () => act(select.value) });
  select.append(...choices.map(([value, words]) => make("option", { value }, words)));
  return { select, label: make("label", { class: "bcb-field" }, make("span", {}, label), select) };
}

/**
 * Returns a box to tick, with its label.
 * @param {string} label
 * @param {(on: boolean) => void} act
 */
export function ticked(label, act) {
  const input = make("input", { type: "checkbox", onchange: () => act(input.checked) });
  return { input, label: make("label", { class: "bcb-tick" }, input, make("span", {}, label)) };
}

/**
 * Sets a text where it is another one: what stands is left alone, so that a reader is not told anew.
 * @param {Element} element
 * @param {string} words
 */
export function say(element, words) {
  if (element.textContent !== words) element.textContent = words;
}

/**
 * Returns a short line as curves are drawn, for their legend.
 * @param {string} colour
 * @param {number[]} dash
 */
export function dashed(colour, dash) {
  const [width, height] = [28, 8]; // the longest pattern shows once and a half
  const made = (/** @type {string} */ tag) => document.createElementNS("http://www.w3.org/2000/svg", tag);
  const [picture, line] = [made("svg"), made("line")];
  const said = { x1: 1, x2: width - 1, y1: height / 2, y2: height / 2, stroke: colour, "stroke-width": 2.4, "stroke-dasharray": dash.join(" ") };
  for (const [name, value] of Object.entries(said)) if (value !== "") line.setAttribute(name, String(value));
  for (const [name, value] of Object.entries({ class: "bcb-line", width, height, "aria-hidden": "true" })) picture.setAttribute(name, String(value));
  picture.append(line);
  return picture;
}

/**
 * Offers `content` as a file to save.
 * @param {Blob} content
 * @param {string} name
 */
export function save(content, name) {
  const address = URL.createObjectURL(content);
  make("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10_000);
}

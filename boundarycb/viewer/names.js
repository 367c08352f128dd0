// @ts-check
/** Names that are too long, made short: layers of one network begin alike and often end alike, so that what differs has to stay. */

const ROOM = 14; // letters that are left of a name
const LEAST = 4; // letters that are worth an ellipsis

/**
 * Returns words without their middle where they have more than so many letters.
 * @param {string} words @param {number} most
 */
export function elided(words, most) {
  const letters = [...words];
  if (letters.length <= most) return words;
  const rest = Math.max(most, 1) - 1;
  return `${letters.slice(0, Math.ceil(rest / 2)).join("")}…${letters.slice(letters.length - Math.floor(rest / 2)).join("")}`;
}

/**
 * Returns words as they fit into a room, without their middle where they are too long; empty where not even a letter fits.
 * @param {string} words @param {number} room @param {(words: string) => number} width of words, in the room's unit
 */
export function fitted(words, room, width) {
  if (width(words) <= room) return words;
  let [fits, most] = [0, [...words].length];
  while (most - fits > 1) {
    const middle = (fits + most) >> 1;
    if (width(elided(words, middle)) <= room) fits = middle;
    else most = middle;
  }
  return fits > 1 ? elided(words, fits) : "";
}

/**
 * Returns names by their short forms, no two alike: of what all long ones share at either end only as much stays as there is room for,
 * and of what is their own the middle of the longest parts goes.
 * @param {string[]} names @param {number} [room] letters @param {number} [most] letters that a name may have as it stands
 * @returns {Map<string, string>}
 */
export function shortNames(names, room = ROOM, most = room + 2) {
  const long = [...new Set(names)].filter((name) => [...name].length > most);
  const [head, tail] = long.length > 1 ? sharedEnds(long) : [0, 0];
  const short = new Map(names.map((name) => [name, long.includes(name) ? withoutEnds(name, head, tail, room) : name]));
  return new Set(short.values()).size === short.size || room > 1000 ? short : shortNames(names, 2 * room, most);
}

/** @param {string[]} names; returns how many letters all of them share at their beginnings, and at their ends, in whole parts */
function sharedEnds(names) {
  const head = wholeParts(names, (name, k) => name[k]);
  const rest = names.map((name) => name.slice(head));
  return [head, wholeParts(rest, (name, k) => name[name.length - 1 - k])];
}

/** @param {string[]} names @param {(name: string, k: number) => string} letter; returns how many letters are shared, up to a mark between parts */
function wholeParts(names, letter) {
  const shortest = Math.min(...names.map((name) => name.length));
  let parts = 0;
  for (let k = 0; k < shortest && names.every((name) => letter(name, k) === letter(names[0], k)); k++) {
    if (/[._/:\s-]/.test(letter(names[0], k))) parts = k + 1;
  }
  return parts >= LEAST ? parts : 0;
}

/** @param {string} name @param {number} head @param {number} tail letters that all names share @param {number} room */
function withoutEnds(name, head, tail, room) {
  const free = room - (head ? 1 : 0) - (tail ? 1 : 0);
  const own = squeezed(name.slice(head, name.length - tail), free);
  const rest = Math.max(free - own.length, 0);
  const first = Math.min(head, tail ? rest >> 1 : rest);
  const last = Math.min(tail, rest - first);
  const begin = head ? `${name.slice(0, first > 2 ? first : 0)}…` : "";
  return `${begin}${own}${tail ? `…${last > 2 ? name.slice(name.length - last) : ""}` : ""}`;
}

/** @param {string} name @param {number} room; returns it with the middle of its longest parts left out: numbers between them stay */
function squeezed(name, room) {
  const parts = name.split(/(?<=[./])/);
  const sizes = parts.map((part) => part.length);
  let over = name.length - room;
  for (let longest = Math.max(...sizes); over > 0 && longest > LEAST; longest = Math.max(...sizes)) {
    sizes[sizes.indexOf(longest)]--;
    over--;
  }
  return elided(parts.map((part, k) => elided(part, sizes[k])).join(""), room);
}

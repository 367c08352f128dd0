// @ts-check
/**
 * Reads the records of a boundarycb history, event file or page: the format that docs/format.md describes.
 *
 * Sections are unpacked when they are asked for. Names that are not known, in headers and sections, are left alone, so data that
 * are added later need no new reader.
 */

const MAGIC = "BCB1";
const HEAD = 16; // bytes before a record's header: magic, and the two lengths
const MAX_HEADER = 64 * 2 ** 20;

/** @typedef {Float32Array | Float64Array | Int8Array | Int16Array | Int32Array | Uint8Array | Uint16Array | Uint32Array} Numbers */
/** @typedef {{ name: string, dtype: string, shape: number[], codec?: string, offset: number, size: number }} Entry */

/** What the bytes of a file are not: a record of a version that this viewer reads. */
export class FormatError extends Error {}

/** One record: a header, and named arrays. */
export class BoundaryRecord {
  /**
   * @param {Record<string, any>} header
   * @param {Entry[]} entries where each section's bytes are in `body`
   * @param {Uint8Array} body
   */
  constructor(header, entries, body) {
    this.header = header;
    this.body = body;
    /** @type {Map<string, Entry>} */
    this.entries = new Map(entries.map((entry) => [entry.name, entry]));
  }

  /** @param {string} name */
  has(name) {
    return this.entries.has(name);
  }

  /**
   * Returns the shape of a section; empty where there is none.
   * @param {string} name
   * @returns {number[]}
   */
  shape(name) {
    return this.entries.get(name)?.shape ?? [];
  }

  /**
   * Returns a section's numbers, row by row; null where there is no such section. 64-bit whole numbers become doubles, which hold
   * them up to 2 ** 53, and float16 becomes float32.
   * @param {string} name
   * @returns {Promise<Numbers | null>}
   */
  async array(name) {
    const entry = this.entries.get(name);
    if (!entry) return null;
    const bytes = this.body.subarray(entry.offset, entry.offset + entry.size);
    if (bytes.length < entry.size) throw new FormatError(`Section ${name} is cut off.`);
    const codec = entry.codec ?? "raw";
    if (codec !== "raw" && codec !== "zlib") throw new FormatError(`Section ${name} has codec ${codec}; this viewer reads raw and zlib.`);
    return typed(codec === "zlib" ? await inflated(bytes, "deflate", sizeOf(entry)) : bytes, entry);
  }
}

/**
 * Returns the whole records at the beginning of `bytes`, and what is wrong with what follows them, if anything is. A record that
 * is cut off, as the last one of a run that was killed, is left out and is no problem.
 * @param {Uint8Array} bytes
 * @returns {{ records: BoundaryRecord[], problem: string }}
 */
export function readRecords(bytes) {
  const records = [];
  let place = 0;
  try {
    while (place + HEAD <= bytes.length) {
      const end = endOf(bytes, place);
      if (end > bytes.length) break;
      records.push(recordAt(bytes, place, end));
      place = end;
    }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return { records, problem: error.message };
  }
  return { records, problem: "" };
}

/** @param {Uint8Array} bytes @param {number} start */
function endOf(bytes, start) {
  const magic = String.fromCharCode(...bytes.subarray(start, start + 4));
  if (magic !== MAGIC) throw new FormatError(complaint(magic));
  const view = new DataView(bytes.buffer, bytes.byteOffset + start, HEAD);
  const header = view.getUint32(4, true);
  if (header > MAX_HEADER) throw new FormatError("A record's header length is impossible: the data are damaged.");
  return start + HEAD + header + Number(view.getBigUint64(8, true)) + 4;
}

/** @param {string} magic */
function complaint(magic) {
  if (/^BCB\d$/.test(magic)) return `These data are of format ${magic}, and this viewer reads ${MAGIC}: bring boundarycb up to date.`;
  return "These are no boundarycb data, or they are damaged.";
}

/** @param {Uint8Array} bytes @param {number} start @param {number} end */
function recordAt(bytes, start, end) {
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const content = bytes.subarray(start + HEAD, end - 4);
  if (checksum(content) !== view.getUint32(end - 4, true)) throw new FormatError("A record's checksum is wrong: the data are damaged.");
  const size = view.getUint32(start + 4, true);
  try {
    const header = JSON.parse(new TextDecoder().decode(content.subarray(0, size)));
    if (header.sections.every(isEntry)) return new BoundaryRecord(header, header.sections, content.subarray(size));
  } catch {
    // no JSON, or no header: told below
  }
  throw new FormatError("A record's header is damaged.");
}

/** @param {any} entry; returns whether it tells of a section */
function isEntry(entry) {
  const { name, dtype, shape, offset, size } = entry;
  const counts = [offset, size, ...shape];
  return typeof name === "string" && typeof dtype === "string" && counts.every((count) => Number.isInteger(count) && count >= 0);
}

/**
 * Returns the runs of a page's payload: what all views of a run share is packed together there, since it packs better.
 * @param {Uint8Array} bytes
 * @returns {{ name: string, of: number, records: BoundaryRecord[] }[]}
 */
export function readBundle(bytes) {
  const size = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true);
  const said = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + size)));
  if (said.version !== 1) throw new FormatError(`This page's data are of version ${said.version}, and its viewer reads 1.`);
  let place = 4 + size;
  return said.runs.map((/** @type {any} */ run) => {
    /** @type {Entry[][]} */
    const entries = run.headers.map(() => []);
    for (const name of run.sections) {
      run.headers.forEach((/** @type {any} */ header, /** @type {number} */ number) => {
        const found = header.sections.find((/** @type {any} */ entry) => entry.name === name);
        if (!found) return;
        const length = sizeOf(found);
        entries[number].push({ ...found, offset: place, size: length });
        place += length;
      });
    }
    const records = run.headers.map((/** @type {any} */ header, /** @type {number} */ i) => new BoundaryRecord(header, entries[i], bytes));
    return { name: run.name, of: run.of, records };
  });
}

/**
 * Returns `bytes` unpacked: no more than `most` bytes and what came with them, whatever is packed there.
 * @param {Uint8Array} bytes
 * @param {"deflate" | "gzip"} format
 * @param {number} [most]
 */
export async function inflated(bytes, format, most = Infinity) {
  const stream = new Blob([/** @type {BlobPart} */ (bytes)]).stream().pipeThrough(new DecompressionStream(format));
  const reader = stream.getReader();
  const parts = [];
  let size = 0;
  try {
    for (let part = await reader.read(); !part.done && size <= most; part = await reader.read()) {
      parts.push(/** @type {BlobPart} */ (part.value));
      size += part.value.length;
    }
  } catch {
    throw new FormatError("Packed data are damaged.");
  }
  if (size > most) void reader.cancel().catch(() => {}); // what was not asked for
  return new Uint8Array(await new Blob(parts).arrayBuffer());
}

// --------------------------------------------------------------------------------------------------------------- numbers

/** @type {Record<string, { bytes: number, make: (buffer: ArrayBuffer) => Numbers }>} */
const KINDS = {
  f2: { bytes: 2, make: (buffer) => Float32Array.from(new Uint16Array(buffer), half) },
  f4: { bytes: 4, make: (buffer) => new Float32Array(buffer) },
  f8: { bytes: 8, make: (buffer) => new Float64Array(buffer) },
  i1: { bytes: 1, make: (buffer) => new Int8Array(buffer) },
  i2: { bytes: 2, make: (buffer) => new Int16Array(buffer) },
  i4: { bytes: 4, make: (buffer) => new Int32Array(buffer) },
  i8: { bytes: 8, make: (buffer) => Float64Array.from(new BigInt64Array(buffer), Number) },
  u1: { bytes: 1, make: (buffer) => new Uint8Array(buffer) },
  u2: { bytes: 2, make: (buffer) => new Uint16Array(buffer) },
  u4: { bytes: 4, make: (buffer) => new Uint32Array(buffer) },
  u8: { bytes: 8, make: (buffer) => Float64Array.from(new BigUint64Array(buffer), Number) },
  b1: { bytes: 1, make: (buffer) => new Uint8Array(buffer) },
};

/** @param {Entry} entry */
function kindOf(entry) {
  const kind = KINDS[String(entry.dtype).slice(1)];
  if (!kind || entry.dtype[0] === ">") throw new FormatError(`Section ${entry.name} has numbers of an unknown kind, ${entry.dtype}.`);
  return kind;
}

/** @param {Entry} entry; returns how many bytes its numbers take */
function sizeOf(entry) {
  return entry.shape.reduce((a, b) => a * b, 1) * kindOf(entry).bytes;
}

/** @param {Uint8Array} bytes @param {Entry} entry */
function typed(bytes, entry) {
  const kind = kindOf(entry);
  if (bytes.length !== sizeOf(entry)) throw new FormatError(`Section ${entry.name} has another size than its shape says.`);
  return kind.make(/** @type {ArrayBuffer} */ (bytes.slice().buffer)); // a copy begins where numbers may begin
}

/** @param {number} bits of a float16 */
function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const power = (bits >> 10) & 31;
  const rest = bits & 1023;
  if (power === 31) return rest ? NaN : sign * Infinity;
  return sign * (power ? 2 ** (power - 15) * (1 + rest / 1024) : 2 ** -14 * (rest / 1024));
}

const CRC_TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
  return byte;
});

/** @param {Uint8Array} bytes; returns zlib's CRC-32 */
function checksum(bytes) {
  let sum = -1;
  for (let i = 0; i < bytes.length; i++) sum = (sum >>> 8) ^ CRC_TABLE[(sum ^ bytes[i]) & 255];
  return ~sum >>> 0;
}

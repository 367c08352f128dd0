// @ts-check
/** Two pens with one set of strokes: what a plot draws on a canvas, it draws as SVG too. Lengths are CSS pixels. */

/** @typedef {{ moveTo(x: number, y: number): void, lineTo(x: number, y: number): void }} Path */
/** @typedef {{ colour: string, width: number, alpha?: number, dash?: number[] }} Stroke */
/** @typedef {{ size: number, colour: string, align?: "left" | "center" | "right", bold?: boolean, halo?: string }} Letters */
/** @typedef {{ x: number, y: number, width: number, height: number }} Box */
/** @typedef {CanvasPen | SvgPen} Pen */

/** Traces one straight line. @param {number} x0 @param {number} y0 @param {number} x1 @param {number} y1 */
export function straight(x0, y0, x1, y1) {
  return (/** @type {Path} */ path) => {
    path.moveTo(x0, y0);
    path.lineTo(x1, y1);
  };
}

const FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif';

/** Draws on a canvas. */
export class CanvasPen {
  /** @param {CanvasRenderingContext2D} context */
  constructor(context) {
    this.context = context;
  }

  /** @param {Box} box @param {string} fill */
  fill({ x, y, width, height }, fill) {
    this.context.fillStyle = fill;
    this.context.fillRect(x, y, width, height);
  }

  /** @param {Box} box @param {string} colour */
  frame({ x, y, width, height }, colour) {
    this.context.strokeStyle = colour;
    this.context.lineWidth = 1;
    this.context.strokeRect(x + 0.5, y + 0.5, width - 1, height - 1);
  }

  /**
   * Draws a part of a picture into `box`.
   * @param {HTMLCanvasElement} picture @param {Box} part of it @param {Box} box @param {boolean} smooth
   */
  image(picture, part, box, smooth) {
    this.context.imageSmoothingEnabled = smooth;
    this.context.imageSmoothingQuality = "high";
    this.context.drawImage(picture, part.x, part.y, part.width, part.height, box.x, box.y, box.width, box.height);
  }

  /** @param {(path: Path) => void} trace @param {Stroke} stroke */
  stroke(trace, { colour, width, alpha = 1, dash = [] }) {
    const { context } = this;
    context.globalAlpha = alpha;
    context.strokeStyle = colour;
    context.lineWidth = width;
    context.lineJoin = context.lineCap = "round";
    context.setLineDash(dash);
    context.beginPath();
    trace(context);
    context.stroke();
    context.setLineDash([]);
    context.globalAlpha = 1;
  }

  /** @param {number} x @param {number} y @param {number} radius @param {string} fill @param {string} edge */
  dot(x, y, radius, fill, edge) {
    const { context } = this;
    context.beginPath();
    context.arc(x, y, radius, 0, 2 * Math.PI);
    context.fillStyle = fill;
    context.fill();
    context.strokeStyle = edge;
    context.lineWidth = 1;
    context.stroke();
  }

  /** @param {number} x @param {number} y @param {string} words @param {Letters} letters */
  text(x, y, words, { size, colour, align = "left", bold = false, halo = "" }) {
    const { context } = this;
    context.font = fontOf({ size, bold });
    context.textAlign = align;
    context.textBaseline = "alphabetic";
    if (halo) {
      context.strokeStyle = halo;
      context.lineWidth = 4;
      context.lineJoin = "round";
      context.strokeText(words, x, y);
    }
    context.fillStyle = colour;
    context.fillText(words, x, y);
  }

  /** @param {string} words @param {Letters} letters; returns how wide they are */
  wide(words, letters) {
    return widthOf(this.context, words, letters);
  }

  /** @param {Box} box @param {() => void} draw */
  inside({ x, y, width, height }, draw) {
    this.context.save();
    this.context.beginPath();
    this.context.rect(x, y, width, height);
    this.context.clip();
    draw();
    this.context.restore();
  }

  /** @param {string} _name @param {() => void} draw */
  group(_name, draw) {
    draw();
  }
}

/** @param {{ size: number, bold?: boolean }} letters */
function fontOf({ size, bold = false }) {
  return `${bold ? "600 " : ""}${size}px ${FONT}`;
}

/** @param {CanvasRenderingContext2D} context @param {string} words @param {{ size: number, bold?: boolean }} letters */
function widthOf(context, words, letters) {
  context.font = fontOf(letters);
  return context.measureText(words).width;
}

/** Writes SVG. */
export class SvgPen {
  /** @param {number} width @param {number} height */
  constructor(width, height) {
    this.width = width;
    this.height = height;
    /** @type {string[]} */
    this.parts = [];
    this.clips = 0;
    this.ruler = /** @type {CanvasRenderingContext2D} */ (document.createElement("canvas").getContext("2d"));
  }

  /** @param {string} words @param {Letters} letters; returns how wide they are in this browser's fonts */
  wide(words, letters) {
    return widthOf(this.ruler, words, letters);
  }

  /** @param {Box} box @param {string} fill */
  fill({ x, y, width, height }, fill) {
    this.parts.push(`<rect x="${short(x)}" y="${short(y)}" width="${short(width)}" height="${short(height)}" fill="${fill}"/>`);
  }

  /** @param {Box} box @param {string} colour */
  frame({ x, y, width, height }, colour) {
    const size = `width="${short(width - 1)}" height="${short(height - 1)}"`;
    this.parts.push(`<rect x="${short(x + 0.5)}" y="${short(y + 0.5)}" ${size} fill="none" stroke="${colour}"/>`);
  }

  /**
   * Draws a part of a picture into `box`: the whole of it, cut by a viewport, so that its points stay where they are.
   * @param {HTMLCanvasElement} picture @param {Box} part of it @param {Box} box @param {boolean} smooth
   */
  image(picture, part, box, smooth) {
    const view = `x="${short(box.x)}" y="${short(box.y)}" width="${short(box.width)}" height="${short(box.height)}"`;
    const cut = `viewBox="${part.x} ${part.y} ${part.width} ${part.height}" preserveAspectRatio="none"`;
    const size = `width="${picture.width}" height="${picture.height}"`;
    const how = smooth ? "" : ' style="image-rendering: pixelated"';
    this.parts.push(`<svg ${view} ${cut}><image ${size}${how} href="${picture.toDataURL()}"/></svg>`);
  }

  /** @param {(path: Path) => void} trace @param {Stroke} stroke */
  stroke(trace, { colour, width, alpha = 1, dash = [] }) {
    /** @type {string[]} */
    const steps = [];
    trace({
      moveTo: (x, y) => steps.push(`M${short(x)} ${short(y)}`),
      lineTo: (x, y) => steps.push(`L${short(x)} ${short(y)}`),
    });
    if (!steps.length) return;
    const more = (alpha < 1 ? ` stroke-opacity="${alpha}"` : "") + (dash.length ? ` stroke-dasharray="${dash.join(" ")}"` : "");
    const round = 'stroke-linejoin="round" stroke-linecap="round"';
    this.parts.push(`<path d="${steps.join("")}" fill="none" stroke="${colour}" stroke-width="${short(width)}" ${round}${more}/>`);
  }

  /** @param {number} x @param {number} y @param {number} radius @param {string} fill @param {string} edge */
  dot(x, y, radius, fill, edge) {
    this.parts.push(`<circle cx="${short(x)}" cy="${short(y)}" r="${radius}" fill="${fill}" stroke="${edge}"/>`);
  }

  /** @param {number} x @param {number} y @param {string} words @param {Letters} letters */
  text(x, y, words, { size, colour, align = "left", bold = false, halo = "" }) {
    const anchor = { left: "start", center: "middle", right: "end" }[align];
    const weight = bold ? ' font-weight="600"' : "";
    const edge = halo ? ` stroke="${halo}" stroke-width="4" stroke-linejoin="round" paint-order="stroke"` : "";
    const where = `x="${short(x)}" y="${short(y)}" font-size="${size}" text-anchor="${anchor}"`;
    this.parts.push(`<text ${where} fill="${colour}"${weight}${edge}>${escaped(words)}</text>`);
  }

  /** @param {Box} box @param {() => void} draw */
  inside({ x, y, width, height }, draw) {
    const id = `clip${this.clips++}`;
    const rect = `<rect x="${short(x)}" y="${short(y)}" width="${short(width)}" height="${short(height)}"/>`;
    this.parts.push(`<clipPath id="${id}">${rect}</clipPath><g clip-path="url(#${id})">`);
    draw();
    this.parts.push("</g>");
  }

  /** @param {string} name @param {() => void} draw */
  group(name, draw) {
    this.parts.push(`<g aria-label="${escaped(name)}">`);
    draw();
    this.parts.push("</g>");
  }

  /** Returns the picture, a whole file. */
  svg() {
    const size = `width="${this.width}" height="${this.height}" viewBox="0 0 ${this.width} ${this.height}"`;
    const font = `font-family="${escaped(FONT)}"`;
    return `<svg xmlns="http://www.w3.org/2000/svg" ${size} ${font}>\n${this.parts.join("\n")}\n</svg>\n`;
  }
}

/** @param {number} value */
function short(value) {
  return Number(value.toFixed(3)).toString();
}

/** @param {string} words */
function escaped(words) {
  return words.replace(/[&<>"]/g, (sign) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[sign] ?? sign);
}

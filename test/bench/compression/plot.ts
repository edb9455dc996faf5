/**
 * A rate–distortion plot as SVG: panels side by side, bits per weight on a logarithmic axis, signal to
 * noise in dB. Lines carry their names at their ends instead of a legend. White ground, so that it
 * reads in light and dark pages; no fonts of its own.
 */
import { type CurvePoint, decibels, frontOf } from './curve.js';

export interface PlotSeries {
  readonly label: string;
  /** CSS colour, of enough contrast on white for text. */
  readonly color: string;
  readonly points: readonly CurvePoint[];
  /** The method that the plot is about. */
  readonly isStrong?: boolean;
  /** A bound, not a method: dashed, without markers, its name on the left. */
  readonly isBound?: boolean;
  /** Rings without a line, for a variant that was measured at a few points only. */
  readonly isScattered?: boolean;
}

export interface PlotPanel {
  readonly title: string;
  readonly series: readonly PlotSeries[];
}

const PANEL = { width: 560, height: 460, top: 58, right: 104, bottom: 56, left: 52 } as const;
const LABEL_DISTANCE = 15;
const INK = '#1f2328';
const FAINT = '#59636e';
const GRID = '#e4e8ec';

/** Values of an axis and their place in pixels. */
interface Axis {
  readonly ticks: readonly number[];
  readonly at: (value: number) => number;
}

/** The whole drawing. Points of errors of nought, and series without points, are left out. */
export function renderPlot(title: string, panels: readonly PlotPanel[]): string {
  const width = PANEL.width * panels.length;
  const body = panels.map(
    (panel, i) => `<g transform="translate(${i * PANEL.width} 0)">\n${renderPanel(panel)}\n</g>`,
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${PANEL.height}" role="img" ` +
      'font-family="system-ui, -apple-system, Segoe UI, Helvetica, Arial, sans-serif" font-size="13">',
    `<title>${escapeText(title)}</title>`,
    `<rect width="${width}" height="${PANEL.height}" fill="#ffffff"/>`,
    ...body,
    '</svg>\n',
  ].join('\n');
}

function renderPanel({ title, series }: PlotPanel): string {
  const drawn = series
    .map((one) => ({ ...one, points: visiblePoints(one.points) }))
    .filter(({ points }) => points.length > 0);
  const all = drawn.flatMap(({ points }) => points);
  const right = PANEL.width - PANEL.right;
  const bottom = PANEL.height - PANEL.bottom;
  const x = rateAxis(all, PANEL.left, right);
  const y = decibelAxis(all, bottom, PANEL.top);
  const parts = [
    text(PANEL.left, 24, title, { weight: 600, size: 15, color: INK }),
    text(PANEL.left - 38, 44, 'signal to noise, dB', { color: FAINT, size: 12 }),
    text((PANEL.left + right) / 2, PANEL.height - 14, 'bits per weight', {
      color: FAINT,
      anchor: 'middle',
      size: 12,
    }),
    ...x.ticks.map((tick) => line(x.at(tick), PANEL.top, x.at(tick), bottom)),
    ...y.ticks.map((tick) => line(PANEL.left, y.at(tick), right, y.at(tick))),
    ...x.ticks.map((tick) =>
      text(x.at(tick), bottom + 20, tick < 1 ? `1/${1 / tick}` : String(tick), {
        color: FAINT,
        anchor: 'middle',
        size: 12,
      }),
    ),
    ...y.ticks.map((tick) =>
      text(PANEL.left - 8, y.at(tick) + 4, String(tick), { color: FAINT, anchor: 'end', size: 12 }),
    ),
    // The strong one last, over the others.
    ...[...drawn]
      .sort((p, q) => Number(p.isStrong ?? false) - Number(q.isStrong ?? false))
      .map((one) => renderSeries(one, x, y)),
    ...placeLabels(drawn.map((one) => labelOf(one, x, y))).map((label) =>
      text(label.x, label.y, label.text, {
        color: label.color,
        weight: label.isStrong ? 700 : 500,
        halo: true,
        ...(label.endsAtX ? { anchor: 'end' as const } : {}),
      }),
    ),
  ];
  return parts.join('\n');
}

/** The front, without points that another one beats for less than 2 % more bits: they would be a jag. */
function visiblePoints(points: readonly CurvePoint[]): CurvePoint[] {
  const front = frontOf(points.filter(({ squaredError }) => squaredError > 0));
  return front.filter(
    (point, i) => !((front[i + 1]?.bitsPerWeight ?? Number.POSITIVE_INFINITY) < 1.02 * point.bitsPerWeight),
  );
}

function renderSeries(series: PlotSeries, x: Axis, y: Axis): string {
  const { points, color, isStrong, isBound, isScattered } = series;
  const places = points.map(
    (point) => [round(x.at(point.bitsPerWeight)), round(y.at(decibels(point.squaredError)))] as const,
  );
  const path = places.map(([px, py], i) => `${i === 0 ? 'M' : 'L'}${px} ${py}`).join(' ');
  const dash = isBound ? ' stroke-dasharray="5 4"' : '';
  const stroke = `<path d="${path}" fill="none" stroke="${color}" stroke-width="${isStrong ? 3 : 1.75}" stroke-linejoin="round"${dash}/>`;
  if (isBound) return stroke;
  const radius = isStrong || isScattered ? 4 : 3;
  const fill = isScattered ? `fill="#ffffff" stroke="${color}" stroke-width="1.75"` : `fill="${color}"`;
  const markers = places.map(([px, py]) => `<circle cx="${px}" cy="${py}" r="${radius}" ${fill}/>`);
  return [...(isScattered ? [] : [stroke]), ...markers].join('\n');
}

export interface PlotLabel {
  readonly text: string;
  readonly color: string;
  readonly isStrong: boolean;
  readonly x: number;
  readonly y: number;
  /** Whether the text ends at x instead of starting there. */
  readonly endsAtX: boolean;
}

function labelOf({ label, color, points, isStrong, isBound }: PlotSeries, x: Axis, y: Axis): PlotLabel {
  const end = points.at(-1)!;
  // Lines come close to one another on the right of the strong one, so its name stands on the left, over the bound's.
  const endsAtX = isStrong || isBound || false;
  return {
    text: label,
    color,
    isStrong: isStrong ?? false,
    x: x.at(end.bitsPerWeight) + (endsAtX ? -9 : 9),
    y: y.at(decibels(end.squaredError)) + (isStrong ? -9 : 4),
    endsAtX,
  };
}

/** Moves labels down until no two that stand beside one another overlap; the highest stays where it is. */
export function placeLabels(labels: readonly PlotLabel[]): PlotLabel[] {
  const placed: PlotLabel[] = [];
  for (const label of [...labels].sort((p, q) => p.y - q.y)) {
    let y = label.y;
    for (const other of placed) {
      const [[from, to], [otherFrom, otherTo]] = [extentOf(label), extentOf(other)];
      const apart = from > otherTo || otherFrom > to;
      if (!apart && Math.abs(y - other.y) < LABEL_DISTANCE) y = other.y + LABEL_DISTANCE;
    }
    placed.push({ ...label, y });
  }
  return placed;
}

/** Where a label starts and ends, roughly, at 13 pixels. */
function extentOf({ text: value, x, endsAtX }: PlotLabel): [from: number, to: number] {
  const width = 7 * value.length + 4;
  return endsAtX ? [x - width, x] : [x, x + width];
}

/** Powers of two around all rates. */
function rateAxis(points: readonly CurvePoint[], from: number, to: number): Axis {
  const logs = points.map(({ bitsPerWeight }) => Math.log2(bitsPerWeight));
  const low = Math.floor(Math.min(...logs) + 1e-9);
  const high = Math.max(low + 1, Math.ceil(Math.max(...logs) - 1e-9));
  const step = high - low > 7 ? 2 : 1;
  const ticks: number[] = [];
  for (let power = low; power <= high; power += step) ticks.push(2 ** power);
  return {
    ticks,
    at: (value) => from + ((to - from) * (Math.log2(value) - low)) / (high - low),
  };
}

/** From 0 in steps of 2 or 5 dB to the best of all points. */
function decibelAxis(points: readonly CurvePoint[], bottom: number, top: number): Axis {
  const best = Math.max(...points.map(({ squaredError }) => decibels(squaredError)));
  const step = best > 14 ? 5 : 2;
  const count = Math.max(1, Math.ceil(best / step));
  const ticks = Array.from({ length: count + 1 }, (_, i) => i * step);
  return { ticks, at: (value) => bottom + ((top - bottom) * value) / (count * step) };
}

interface TextStyle {
  readonly color: string;
  readonly anchor?: 'middle' | 'end';
  readonly weight?: number;
  readonly size?: number;
  /** A white edge, so that it reads over lines. */
  readonly halo?: boolean;
}

function text(x: number, y: number, value: string, style: TextStyle): string {
  const attributes = [
    `x="${round(x)}" y="${round(y)}" fill="${style.color}"`,
    ...(style.anchor === undefined ? [] : [`text-anchor="${style.anchor}"`]),
    ...(style.weight === undefined ? [] : [`font-weight="${style.weight}"`]),
    ...(style.size === undefined ? [] : [`font-size="${style.size}"`]),
    ...(style.halo ? ['stroke="#ffffff" stroke-width="4" stroke-linejoin="round" paint-order="stroke"'] : []),
  ];
  return `<text ${attributes.join(' ')}>${escapeText(value)}</text>`;
}

function line(x1: number, y1: number, x2: number, y2: number): string {
  return `<path d="M${round(x1)} ${round(y1)} L${round(x2)} ${round(y2)}" stroke="${GRID}"/>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escapeText(value: string): string {
  return value.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}

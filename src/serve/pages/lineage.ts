/**
 * The lanes of `ere log --graph` (report/version-graph.ts) as drawings: one a version, as high as its row of the table,
 * so that rows that follow each other join. Lines are at hundredths of the height; what a character joins, the drawing
 * joins.
 */
import { type Html, type HtmlValue, html } from './html.js';

/** Pixels from lane to lane. */
const LANE_WIDTH = 14;
/** Beyond it a table would be all lanes. */
export const MAX_LANES = 24;

const NODES = '*o';
/** Characters whose lines go on in the row below. */
const GOING_DOWN = '*│╮╭┬';
const FROM_ABOVE = '│╯╰┴';

/** Lanes that a row of the drawing takes: two characters each. */
export function laneCount(rows: readonly string[]): number {
  return rows.reduce((most, row) => Math.max(most, Math.ceil(row.length / 2)), 0);
}

/**
 * One row. Lanes beyond MAX_LANES are left out.
 * @param above the row before it; '' without one
 * @param lanes width of all rows
 */
export function drawLanes(row: string, above: string, lanes: number): Html {
  const shown = Math.min(lanes, MAX_LANES);
  const across: HtmlValue[] = [];
  const down: HtmlValue[] = [];
  let node: HtmlValue;
  for (let lane = 0; lane < shown; lane++) {
    const [x, at] = [laneX(lane), 2 * lane];
    const character = row[at] ?? ' ';
    if (row[at + 1] === '─') {
      across.push(html`<line x1="${x}" y1="50%" x2="${laneX(lane + 1)}" y2="50%"/>`);
    }
    if (NODES.includes(character)) {
      node = html`<circle cx="${x}" cy="50%" r="4"${character === 'o' ? html` class="root"` : undefined}/>`;
    }
    const top = FROM_ABOVE.includes(character) || (NODES.includes(character) && goesDown(above, at));
    const bottom = GOING_DOWN.includes(character);
    if (!top && !bottom) continue;
    const line = (kind: HtmlValue) =>
      html`<line${kind} x1="${x}" y1="${top ? 0 : 50}%" x2="${x}" y2="${bottom ? 100 : 50}%"/>`;
    // A line that only passes runs in front, with a gap on both sides.
    if (character === '│' && (row[at - 1] === '─' || row[at + 1] === '─'))
      down.push(line(html` class="gap"`));
    down.push(line(undefined));
  }
  const width = shown * LANE_WIDTH + 2;
  // The first one holds the column open: the other is laid over the whole cell, however high its row is.
  return html`<svg width="${width}" height="1" aria-hidden="true"></svg><svg class="lanes" width="${width}" height="100%" aria-hidden="true">${across}${down}${node}</svg>`;
}

function laneX(lane: number): number {
  return lane * LANE_WIDTH + LANE_WIDTH / 2 + 1;
}

function goesDown(row: string, at: number): boolean {
  const character = row[at];
  return character !== undefined && GOING_DOWN.includes(character);
}

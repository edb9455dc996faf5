/**
 * The history of versions as lanes of characters, one row a version, as `git log --graph` draws it:
 *
 *     *      chat 3
 *     │ *    code 2
 *     │ *─╮  code 1: of two parents
 *     *─╯ │  main 2
 *     o───╯  main 1
 *
 * Reading down a lane from a version leads to its parents. A lane stands for one awaited parent; versions of a model
 * stay in one lane where they can. Where children meet at their parent, the lanes of all but one end beside it (`╯`,
 * `╰`); further parents of a version begin lanes beside it (`╮`, `╭`). Lines only meet at a version: one that passes
 * another runs behind it (`│`), a lane that ended in a row begins anew in the next at the earliest, and a version
 * without parents is an `o`, from which nothing goes on to what may stand below it. So a drawing has one meaning.
 */

export interface GraphVersion {
  readonly id: string;
  readonly model: string;
  readonly parents: readonly string[];
}

/** A version that is awaited further down, and the model of the child that awaits it. */
interface Lane {
  readonly awaited: string;
  readonly model: string;
}

/** A cell is two columns wide: what is in the lane, and what leads on to the right of it. */
const NODE = '*';
const ROOT = 'o';
const PASSING = '│';
const LINE = '─';

/**
 * One row of characters for each version, without blanks at its end.
 * @param versions children before their parents, as `childrenFirst` orders them; parents that are not among them are
 * not drawn
 */
export function drawVersionGraph(versions: readonly GraphVersion[]): string[] {
  const known = new Set(versions.map((version) => version.id));
  const lanes: (Lane | undefined)[] = [];
  return versions.map((version) => {
    const awaiting = [...lanes.keys()].filter((at) => lanes[at]?.awaited === version.id);
    const parents = [...new Set(version.parents)].filter((parent) => known.has(parent));
    const { model } = version;
    const own = awaiting.find((at) => lanes[at]?.model === model) ?? awaiting[0] ?? freeLane(lanes, []);
    const ending = awaiting.filter((at) => at !== own);
    const begun: number[] = [];
    for (const awaited of parents.slice(1)) {
      const at = freeLane(lanes, [own]); // lanes that end here are still taken
      lanes[at] = { awaited, model };
      begun.push(at);
    }
    const row = drawRow(lanes, { mark: parents.length === 0 ? ROOT : NODE, own, ending, begun });
    lanes[own] = parents[0] === undefined ? undefined : { awaited: parents[0], model };
    for (const at of ending) lanes[at] = undefined;
    while (lanes.length > 0 && lanes.at(-1) === undefined) lanes.pop();
    return row;
  });
}

/**
 * The same versions, none before a child of its own, else in the order given: clocks of several writers may differ.
 * Versions that descend from themselves, which no store holds, come in some order.
 */
export function childrenFirst<Version extends Pick<GraphVersion, 'id' | 'parents'>>(
  versions: readonly Version[],
): Version[] {
  const children = new Map<string, Version[]>(versions.map((version) => [version.id, []]));
  for (const version of versions) {
    for (const parent of version.parents) children.get(parent)?.push(version);
  }
  const ordered: Version[] = [];
  const met = new Set<string>();
  for (const version of versions) {
    // Depth first, on a stack of our own: a history may be longer than the call stack is deep.
    const stack = [{ version, next: 0 }];
    if (met.has(version.id)) continue;
    met.add(version.id);
    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const child = children.get(top.version.id)![top.next++];
      if (child === undefined) {
        ordered.push(top.version);
        stack.pop();
      } else if (!met.has(child.id)) {
        met.add(child.id);
        stack.push({ version: child, next: 0 });
      }
    }
  }
  return ordered;
}

/** The leftmost lane that nobody uses, one beyond the last if need be. */
function freeLane(lanes: readonly (Lane | undefined)[], taken: readonly number[]): number {
  let at = 0;
  while (lanes[at] !== undefined || taken.includes(at)) at += 1;
  return at;
}

/** What meets at a version: its own lane, those of other children, and those to further parents. */
interface Meeting {
  readonly mark: string;
  readonly own: number;
  readonly ending: readonly number[];
  readonly begun: readonly number[];
}

function drawRow(lanes: readonly (Lane | undefined)[], { mark, own, ending, begun }: Meeting): string {
  const met = [...ending, ...begun];
  const [first, last] = [Math.min(own, ...met), Math.max(own, ...met)];
  let row = '';
  for (let at = 0; at < Math.max(lanes.length, own + 1); at++) {
    const inside = at > first && at < last;
    if (at === own) row += mark;
    else if (ending.includes(at)) row += inside ? '┴' : at < own ? '╰' : '╯';
    else if (begun.includes(at)) row += inside ? '┬' : at < own ? '╭' : '╮';
    else if (lanes[at] !== undefined) row += PASSING;
    else row += inside ? LINE : ' ';
    row += at >= first && at < last ? LINE : ' ';
  }
  return row.trimEnd();
}

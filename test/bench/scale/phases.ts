/**
 * A run's progress as phases. The library tells of finished tensors; a pass over the tensors ends when all of its
 * bytes are done, and the next one starts there: what lies between, such as the search for a step, belongs to it.
 */

/** Since the start of the process. Bytes are those of its system calls; undefined where the system does not tell. */
export interface Moment {
  readonly atMs: number;
  readonly readByteLength: number | undefined;
  readonly writtenByteLength: number | undefined;
}

/** A pass over tensors as it ended. */
export interface Pass extends Moment {
  readonly phase: string;
}

export interface Phase {
  readonly name: string;
  readonly startMs: number;
  readonly endMs: number;
  readonly readByteLength: number | undefined;
  readonly writtenByteLength: number | undefined;
}

/** Collects passes from progress. */
export class PassRecorder {
  readonly passes: Pass[] = [];
  readonly #now: () => Moment;
  #isOpen = false;

  constructor(now: () => Moment) {
    this.#now = now;
  }

  /** Told after every tensor. */
  add({ phase, doneByteLength, totalByteLength }: Progressed): void {
    const pass: Pass = { phase, ...this.#now() };
    if (this.#isOpen && this.passes.at(-1)!.phase === phase) this.passes[this.passes.length - 1] = pass;
    else this.passes.push(pass);
    this.#isOpen = doneByteLength < totalByteLength;
  }
}

interface Progressed {
  readonly phase: string;
  readonly doneByteLength: number;
  readonly totalByteLength: number;
}

const NOTHING: Moment = { atMs: 0, readByteLength: 0, writtenByteLength: 0 };

/**
 * The phases from the start of the process to `end`, without a gap. A second analysis is the prediction; whatever is
 * analysed or encoded after the first encoding corrects it.
 * @param last name of what comes after the last pass
 */
export function phasesOf(passes: readonly Pass[], end: Moment, last: string): Phase[] {
  const phases: Phase[] = [];
  let previous = NOTHING;
  const add = (name: string, moment: Moment): void => {
    const start = phases.at(-1)?.name === name ? phases.pop()! : undefined;
    phases.push({
      name,
      startMs: start?.startMs ?? previous.atMs,
      endMs: moment.atMs,
      readByteLength: sum(start?.readByteLength ?? 0, moment.readByteLength, previous.readByteLength),
      writtenByteLength: sum(
        start?.writtenByteLength ?? 0,
        moment.writtenByteLength,
        previous.writtenByteLength,
      ),
    });
    previous = moment;
  };
  for (const pass of passes) add(nameOf(pass.phase, phases), pass);
  add(last, end);
  return phases;
}

function sum(before: number, now: number | undefined, then: number | undefined): number | undefined {
  return now === undefined || then === undefined ? undefined : before + now - then;
}

function nameOf(phase: string, before: readonly Phase[]): string {
  if (phase !== 'analyse' && phase !== 'encode') return phase;
  if (before.some(({ name }) => name === 'encode')) return 'correct';
  return phase === 'analyse' && before.length > 0 ? 'predict' : phase;
}

/**
 * A process of its own that works on a store until it is killed: argv is a JSON `WriterTask`. It prints a line when it
 * has begun, before each version that it removes, and after each commit that was acknowledged.
 */
import { writeSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Store } from '../../src/store/api.js';
import { countDiskCalls } from './kill-at.js';
import type { WriterOperation, WriterTask } from './writer-task.js';

/** Errors that a writer beside others has to expect: it does it again, or gives up. */
const EXPECTED = ['ERE_CONFLICT', 'ERE_NOT_FOUND'];

const say = (...words: readonly (string | number)[]): void => {
  writeSync(1, `${words.join(' ')}\n`);
};

async function run(task: WriterTask): Promise<void> {
  const calls = await countDiskCalls();
  const { isEreError } = await import('../../formats/errors.js');
  const { openStore } = await import('../../src/store/open-store.js');
  const store = await openStore(task.store);
  const writer = new Writer(store, task);
  say('ready');
  for (const [i, operation] of task.operations.entries()) {
    calls.arm(i === task.operations.length - 1 ? task.kill : undefined);
    try {
      await writer.do(operation);
    } catch (error) {
      if (!isEreError(error) || !EXPECTED.includes(error.code)) throw error;
      say('refused', operation, error.message);
    }
    say('calls', operation, calls.count);
  }
}

class Writer {
  readonly #store: Store;
  readonly #task: WriterTask;
  readonly #own: string[] = [];
  #random: number;

  constructor(store: Store, task: WriterTask) {
    this.#store = store;
    this.#task = task;
    this.#random = task.seed;
  }

  async do(operation: WriterOperation): Promise<void> {
    const { name, folder } = this.#task;
    const common = { threads: 1 } as const;
    switch (operation) {
      case 'commit':
        return this.#commit(name);
      case 'commit-main':
        return this.#commit('main');
      case 'commit-main-again':
        for (let isDone = false; !isDone; ) {
          isDone = await this.#commit('main').then(
            () => true,
            (error) => {
              if (error.code === 'ERE_CONFLICT') return false;
              throw error;
            },
          );
        }
        return;
      case 'gc':
        await this.#store.gc({ ...common, graceMs: 0, maxDecodeCost: 1000 });
        return;
      case 'gc-anew':
        await this.#store.gc({ ...common, graceMs: 0, maxDecodeCost: 0.01 });
        return;
      case 'repair': {
        const { problems } = await this.#store.fsck({ ...common, repair: true });
        for (const { subject, message } of problems) say('problem', subject, message);
        return;
      }
      case 'tag':
        await this.#store.tag(`tag-of-${name}`, 'main', { force: true });
        return;
      case 'rm-version': {
        const id = this.#own.pop();
        if (id === undefined) return;
        say('removing', id);
        await this.#store.remove(id);
        return;
      }
      case 'rm-model':
        if (!(await this.#store.refs()).some((ref) => ref.kind === 'model' && ref.name === name)) return;
        for (const { id } of await this.#store.log({ ref: `model:${name}` })) say('removing', id);
        await this.#store.remove(`model:${name}`);
        return;
      case 'checkout': {
        const output = join(folder, `out-${name}`);
        await this.#store.checkout('main', { ...common, output });
        await rm(output, { recursive: true });
      }
    }
  }

  async #commit(model: string): Promise<void> {
    const { tunes } = this.#task.models;
    const tune = this.#next(tunes.length);
    const against = this.#next(3) === 0 ? ({ against: 'base' } as const) : {};
    const options = { threads: 1, message: `${tune}`, lossless: true, base: 'b', model, ...against } as const;
    const { version } = await this.#store.commit(tunes[tune]!, options);
    say('committed', version.id, tune);
    this.#own.push(version.id);
  }

  #next(count: number): number {
    this.#random = (Math.imul(this.#random, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.#random / 2 ** 32) * count);
  }
}

await run(JSON.parse(process.argv[2]));

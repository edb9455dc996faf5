/** Writers on one store that are killed again and again, and what is left of their work. */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { FsckReport } from '../../src/store/api.js';
import { initStore } from '../../src/store/open-store.js';
import type { KillPoint } from './kill-at.js';
import { PROJECT_ROOT } from './project.js';
import { COMMIT, FAST, type StoreModels, writeStoreModels } from './store-models.js';
import { WRITER_OPERATIONS, type WriterOperation, type WriterTask } from './writer-task.js';

export interface CrashRunOptions {
  /** Processes to kill. */
  readonly killCount: number;
  readonly seed: number;
  /** Processes at once; default 3. */
  readonly writerCount?: number;
}

export interface CrashReport {
  readonly killCount: number;
  /** By operation: kills at a call, and by time. */
  readonly kills: Readonly<Record<string, number>>;
  readonly committedCount: number;
  readonly removedCount: number;
  readonly refused: readonly string[];
  /** What went wrong in a process, other than being killed. */
  readonly errors: readonly string[];
  /** Found by the last fsck, before and after repair. */
  readonly left: FsckReport['problems'];
  readonly repaired: FsckReport['problems'];
  /** Acknowledged and not removed, but not in the log, or not what was committed. */
  readonly lost: readonly string[];
  readonly leftoverCount: number;
  readonly durationMs: number;
}

const WRITER = join(PROJECT_ROOT, 'dist/test/helpers/store-writer.js');
const TUNES = 6;

/** What a writer said before it ended. */
export interface EndedWriter {
  readonly isKilled: boolean;
  readonly lines: readonly string[];
  readonly stderr: string;
}

/** @param killAfterMs after it has begun */
export function runWriter(task: WriterTask, killAfterMs?: number): Promise<EndedWriter> {
  return new Promise((resolve, reject) => {
    const argv = [WRITER, JSON.stringify(task)];
    const child = spawn(process.execPath, argv, { stdio: ['ignore', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    let isTimed = killAfterMs !== undefined;
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      if (!isTimed || !stdout.includes('ready')) return;
      isTimed = false;
      setTimeout(() => child.kill('SIGKILL'), killAfterMs);
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (_status, signal) => {
      const lines = stdout.split('\n').slice(0, -1); // A line that is not whole was not said.
      resolve({ isKilled: signal === 'SIGKILL', lines, stderr });
    });
  });
}

class CrashRun {
  readonly #options: CrashRunOptions;
  readonly #folder: string;
  readonly #models: StoreModels;
  /** Most calls that an operation was seen to take. */
  readonly #calls = new Map<string, number>();
  readonly kills: Record<string, number> = {};
  readonly committed = new Map<string, number>();
  readonly removed = new Set<string>();
  readonly refused: string[] = [];
  readonly errors: string[] = [];
  killCount = 0;
  #started = 0;
  #random: number;

  constructor(folder: string, models: StoreModels, options: CrashRunOptions) {
    this.#folder = folder;
    this.#models = models;
    this.#options = options;
    this.#random = options.seed;
  }

  async run(): Promise<void> {
    // One that ends by itself tells how many calls there are to be killed at.
    await this.#start(WRITER_OPERATIONS, undefined, undefined);
    const { writerCount = 3, killCount } = this.#options;
    const work = async (): Promise<void> => {
      while (this.killCount < killCount && this.errors.length === 0) await this.#startNext();
    };
    await Promise.all(Array.from({ length: writerCount }, work));
  }

  async #startNext(): Promise<void> {
    const last = WRITER_OPERATIONS[this.#next(WRITER_OPERATIONS.length - 1)]!; // A checkout changes nothing.
    const operations: WriterOperation[] = this.#next(2) === 0 ? ['commit-main', last] : ['commit', last];
    if (this.#next(6) === 0) return this.#start([...operations, 'gc-anew'], undefined, this.#next(200));
    const call = 1 + this.#next(this.#calls.get(last) ?? 40);
    return this.#start(operations, { call, isAfter: this.#next(2) === 0 }, undefined);
  }

  async #start(
    operations: readonly WriterOperation[],
    kill: KillPoint | undefined,
    killAfterMs: number | undefined,
  ): Promise<void> {
    const task = {
      store: join(this.#folder, 'store'),
      models: this.#models,
      folder: this.#folder,
      name: `own${this.#started++}`,
      seed: this.#next(2 ** 31),
      operations,
      ...(kill === undefined ? {} : { kill }),
    };
    const { isKilled, lines, stderr } = await runWriter(task, killAfterMs);
    if (stderr !== '') this.errors.push(stderr);
    if (isKilled) {
      this.killCount++;
      const where = kill === undefined ? 'any time' : operations.at(-1)!;
      this.kills[where] = (this.kills[where] ?? 0) + 1;
    }
    for (const line of lines) this.#heard(line);
  }

  #heard(line: string): void {
    const [word, subject = '', ...more] = line.split(' ');
    if (word === 'committed') this.committed.set(subject, Number(more[0]));
    else if (word === 'removing') this.removed.add(subject);
    else if (word === 'refused') this.refused.push(line);
    else if (word === 'problem') this.errors.push(line);
    else if (word === 'calls')
      this.#calls.set(subject, Math.max(Number(more[0]), this.#calls.get(subject) ?? 0));
  }

  #next(count: number): number {
    this.#random = (Math.imul(this.#random, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.#random / 2 ** 32) * count);
  }
}

/** @param folder an empty one */
export async function runCrashes(folder: string, options: CrashRunOptions): Promise<CrashReport> {
  const started = performance.now();
  const models = await writeStoreModels(join(folder, 'models'), TUNES);
  const store = await initStore(join(folder, 'store'));
  await store.addBase('b', models.base);
  await store.commit(models.tunes[0]!, { ...COMMIT, model: 'main' });
  const run = new CrashRun(folder, models, options);
  await run.run();

  const left = await store.fsck({ ...FAST, full: true });
  const repaired = await store.fsck({ ...FAST, full: true, repair: true });
  const logged = new Set((await store.log()).map(({ id }) => id as string));
  const lost: string[] = [];
  const expected = await Promise.all(models.tunes.map((path) => readFile(join(path, 'model.safetensors'))));
  for (const [id, tune] of run.committed) {
    if (run.removed.has(id)) continue;
    const output = join(folder, 'checked');
    await store
      .checkout(id, { ...FAST, output, overwrite: true })
      .catch((error) => lost.push(`${id}: ${error}`));
    const found = await readFile(join(output, 'model.safetensors'));
    if (!logged.has(id)) lost.push(`${id} is not in the log`);
    if (!found.equals(expected[tune]!)) lost.push(`${id} is not what was committed`);
  }
  const before = await store.stats();
  await store.gc({ ...FAST, graceMs: 0 });
  const { unreferencedCount, problems } = await store.fsck({ ...FAST, full: true });
  if ((await store.stats()).versionCount > before.versionCount || problems.length > 0)
    lost.push('gc broke it');
  await store.close();
  return {
    killCount: run.killCount,
    kills: run.kills,
    committedCount: run.committed.size,
    removedCount: run.removed.size,
    refused: run.refused,
    errors: run.errors,
    left: left.problems,
    repaired: repaired.problems,
    lost,
    leftoverCount: unreferencedCount,
    durationMs: performance.now() - started,
  };
}

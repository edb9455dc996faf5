/** The worker pool, with one thread and with more: results, errors, crashes, aborts. */
import { describe, expect, it } from 'vitest';
import { CheckpointMismatchError, isEreError } from '../../formats/errors.js';
import { openWorkerPool, startThreads, type WorkerPool } from '../../src/io/worker-pool.js';
import type { PoolJob, PoolJobResult, PoolJobsInit } from '../helpers/pool-jobs.js';
import type { ProductJobsInit } from '../helpers/product-jobs.js';

interface Opened {
  readonly pool: WorkerPool<PoolJob, PoolJobResult>;
  /** [runners opened, jobs started, runners closed]. */
  readonly counters: Int32Array;
}

async function withPool<T>(
  threads: number,
  use: (opened: Opened) => Promise<T>,
  options: { signal?: AbortSignal; isWorker?: boolean; failsToOpen?: boolean; failsToClose?: boolean } = {},
): Promise<T> {
  const { signal, isWorker, ...init } = options;
  const counters = new SharedArrayBuffer(12);
  const pool = await openWorkerPool<PoolJobsInit, PoolJob, PoolJobResult>({
    module: new URL('../helpers/pool-jobs.js', import.meta.url),
    init: { ...init, counters },
    threads,
    signal,
    ...(isWorker === undefined ? {} : { isWorker }),
  });
  try {
    return await use({ pool, counters: new Int32Array(counters) });
  } finally {
    await pool.close();
  }
}

const echo = (value: unknown, durationMs = 0): PoolJob => ({ kind: 'echo', value, durationMs });
const failure = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.fail('expected a rejection'),
    (error) => error,
  );

for (const threads of [1, 2]) {
  describe(`with ${threads} thread${threads > 1 ? 's' : ''}`, () => {
    it('every job gives its own result, in whatever order they end', async () => {
      await withPool(threads, async ({ pool, counters }) => {
        expect(pool.threads).toBe(threads);
        const values = Array.from({ length: 9 }, (_, i) => i);
        const results = await Promise.all(values.map((i) => pool.run(echo(i, (9 - i) % 3))));
        expect(results.map(({ result }) => result.value)).toEqual(values);
        for (const { worker } of results) expect(worker).toBeLessThan(threads);
        expect(counters[0]).toBeLessThanOrEqual(threads);
      });
    });

    it('a job for a worker runs on it, where its state is', async () => {
      await withPool(threads, async ({ pool }) => {
        const first = await Promise.all([pool.run(echo(0, 5)), pool.run(echo(1, 5))]);
        const threadOf = new Map(first.map(({ worker, result }) => [worker, result.thread]));
        for (const [worker, thread] of threadOf) {
          const again = await Promise.all([pool.run(echo(2), worker), pool.run(echo(3), worker)]);
          for (const { worker: found, result } of again) {
            expect([found, result.thread]).toEqual([worker, thread]);
          }
        }
      });
    });

    it('an error has its class, its fields and its cause, and the pool goes on', async () => {
      await withPool(threads, async ({ pool }) => {
        const error = await failure(pool.run({ kind: 'mismatch' }));
        expect(error).toBeInstanceOf(CheckpointMismatchError);
        expect(isEreError(error, 'ERE_CHECKPOINT_MISMATCH')).toBe(true);
        expect(error).toMatchObject({ message: 'wrong base', tensor: 'w', expected: 'a', found: 'b' });
        expect(error.cause).toBeInstanceOf(TypeError);
        expect(await failure(pool.run({ kind: 'range' }))).toBeInstanceOf(RangeError);
        expect(await failure(pool.run({ kind: 'system' }))).toMatchObject({ code: 'ENOSPC', path: '/x' });
        const results = await Promise.allSettled([
          pool.run(echo('before')),
          pool.run({ kind: 'range' }),
          pool.run(echo('after')),
        ]);
        expect(results.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
      });
    });

    it('a module that cannot open its files fails with their error', async () => {
      const error = await failure(withPool(threads, ({ pool }) => pool.run(echo(1)), { failsToOpen: true }));
      expect(error).toBeInstanceOf(CheckpointMismatchError);
      expect(error).toMatchObject({ message: 'no base', found: 'none' });
    });

    it('an abort rejects what runs and what waits, and no further job starts', async () => {
      const controller = new AbortController();
      await withPool(
        threads,
        async ({ pool, counters }) => {
          // A job in this thread ends before the pool closes; a thread is stopped in the middle of one.
          const durationMs = threads === 1 ? 100 : 60_000;
          const jobs = Array.from({ length: 6 }, (_, i) => failure(pool.run(echo(i, durationMs))));
          setTimeout(() => controller.abort(new Error('by the user')), 50);
          const errors =
            threads === 1 ? (await Promise.allSettled(jobs)).slice(1) : await Promise.allSettled(jobs);
          for (const settled of errors) {
            const error = (settled as PromiseFulfilledResult<Error>).value;
            expect(isEreError(error, 'ERE_ABORTED')).toBe(true);
            expect(error.cause).toMatchObject({ message: 'by the user' });
          }
          expect(counters[1]).toBeLessThanOrEqual(threads);
          expect(isEreError(await failure(pool.run(echo(1))), 'ERE_ABORTED')).toBe(true);
        },
        { signal: controller.signal },
      );
    });

    it('no job starts after it was closed, and the files are closed last', async () => {
      const { counters, jobs } = await withPool(threads, async ({ pool, counters }) => {
        const error = await failure(pool.run({ kind: 'range' }));
        expect(error).toBeInstanceOf(RangeError);
        const durationMs = threads === 1 ? 30 : 60_000;
        const jobs = Array.from({ length: 5 }, (_, i) =>
          failure(pool.run(echo(i, durationMs))).catch(() => {}),
        );
        while (counters[1]! < 2) await new Promise((resolve) => setTimeout(resolve, 1));
        return { counters, jobs };
      });
      const started = counters[1];
      expect(started).toBeLessThanOrEqual(1 + threads);
      if (threads === 1) await Promise.all(jobs);
      else await new Promise((resolve) => setTimeout(resolve, 100));
      expect(counters[1]).toBe(started);
      expect(counters[2]).toBe(threads);
    });

    it('every runner that was opened is closed when the pool is', async () => {
      const counters = await withPool(threads, async ({ pool, counters }) => {
        await Promise.all(Array.from({ length: 2 * threads }, () => pool.run(echo(1, 5))));
        return counters;
      });
      expect(counters[0]).toBe(threads);
      expect(counters[2]).toBe(threads);
    });

    it('a runner that fails to close is told, and the others are closed', async () => {
      const closed = withPool(
        threads,
        async ({ pool }) => {
          await Promise.all(Array.from({ length: threads }, () => pool.run(echo(1, 20))));
        },
        { failsToClose: true },
      );
      expect(await failure(closed)).toMatchObject({ message: 'not closed', found: 'open files' });
    });

    it('does not open when the abort came before', async () => {
      const error = await failure(withPool(threads, async () => {}, { signal: AbortSignal.abort() }));
      expect(isEreError(error, 'ERE_ABORTED')).toBe(true);
    });
  });
}

describe('a pool with this thread as a worker', () => {
  it('works here and in the others, and errors keep their class', async () => {
    const used = async ({ pool, counters }: Opened) => {
      expect(pool.threads).toBe(3);
      const results = await Promise.all(Array.from({ length: 9 }, (_, i) => pool.run(echo(i, 20))));
      expect(results.map(({ result }) => result.value)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8]);
      for (const { worker, result } of results) expect(result.thread === 0).toBe(worker === 0);
      expect(new Set(results.map(({ worker }) => worker))).toEqual(new Set([0, 1, 2]));
      for (const worker of [0, 1]) {
        const error = await failure(pool.run({ kind: 'mismatch' }, worker));
        expect(error).toBeInstanceOf(CheckpointMismatchError);
      }
      return counters;
    };
    const counters = await withPool(3, used, { isWorker: true });
    expect([counters[0], counters[2]]).toEqual([3, 3]);
  });

  it('the others go on while it is busy, with the job that they have in hand', async () => {
    const busy = async ({ pool, counters }: Opened) => {
      await Promise.all([pool.run(echo(0), 0), pool.run(echo(0), 1)]);
      const started = counters[1]!;
      const jobs = [1, 2, 3].map((i) => pool.run(echo(i), 1));
      // Nothing of this thread's event loop gets through until two have started.
      while (Atomics.load(counters, 1) < started + 2);
      await Promise.all(jobs);
    };
    await withPool(2, busy, { isWorker: true });
  });

  it('an abort rejects what runs and what waits; the job here ends, those elsewhere do not', async () => {
    const controller = new AbortController();
    const aborted = async ({ pool, counters }: Opened) => {
      pool.run(echo(0, 10), 0).catch(() => {}); // Ends before the abort or after it.
      const jobs = [1, 2, 3].map((i) => failure(pool.run(echo(i, 60_000), 1)));
      while (counters[1]! < 2) await new Promise((resolve) => setTimeout(resolve, 1));
      controller.abort();
      const errors = await Promise.all(jobs);
      for (const error of errors) expect(isEreError(error, 'ERE_ABORTED')).toBe(true);
      return counters;
    };
    const counters = await withPool(2, aborted, { isWorker: true, signal: controller.signal });
    expect([counters[1], counters[2]]).toEqual([2, 2]);
  });
});

describe('a job that a thread offers', () => {
  const offer = (job: PoolJob, durationMs: number) => ({ kind: 'offer', job, durationMs }) as const;

  it('is run once by each of the others that has nothing else to do, whatever becomes of it', async () => {
    await withPool(4, async ({ pool, counters }) => {
      await Promise.all([0, 1, 2, 3].map((worker) => pool.run(echo(worker), worker)));
      const busy = pool.run(echo('busy', 400), 1);
      const [offered, failing] = await Promise.all([
        pool.run(offer(echo(0), 60), 0),
        busy.then(() => pool.run(offer({ kind: 'range' }, 60), 1)),
      ]);
      expect([offered.result.value, failing.result.value]).toEqual([2, 3]);
      expect(pool.takenOffers).toBe(2 + 3);
      expect(counters[1]).toBe(4 + 3 + 2 + 3);
      expect((await pool.run(echo('after'), 2)).result.value).toBe('after');
    });
  });

  it('waits behind all jobs of the pool, and is forgotten when it is taken back', async () => {
    await withPool(2, async ({ pool, counters }) => {
      await Promise.all([pool.run(echo(0), 0), pool.run(echo(1), 1)]);
      const jobs = [50, 50, 50, 50].map((durationMs) => pool.run(echo(0, durationMs), 1));
      const { result } = await pool.run(offer(echo(0), 5), 0);
      await Promise.all(jobs);
      await pool.run(echo(2), 1);
      expect([result.value, pool.takenOffers, counters[1]]).toEqual([0, 0, 2 + 4 + 1 + 1]);
    });
  });

  it('reaches a thread that has nothing to do later', async () => {
    await withPool(2, async ({ pool }) => {
      const busy = pool.run(echo(0, 20), 1);
      const offering = pool.run(offer(echo(0), 500), 0);
      await busy;
      while (pool.takenOffers === 0) await new Promise((resolve) => setTimeout(resolve, 1));
      await offering;
      expect(pool.takenOffers).toBe(1);
    });
  });
});

describe('threads', () => {
  for (const job of [{ kind: 'exit', code: 0 }, { kind: 'exit', code: 3 }, { kind: 'crash' }] as const) {
    const name = job.kind === 'exit' ? `exits with code ${job.code}` : 'crashes outside of its job';
    it(`one that ${name} rejects every job, and nothing waits forever`, async () => {
      await withPool(2, async ({ pool }) => {
        const running = [job, echo(1, 60_000), echo(2)].map((one) => failure(pool.run(one)));
        const errors = await Promise.all(running.slice(0, 2));
        for (const error of errors) {
          expect(error.message).toMatch(job.kind === 'crash' ? /crashed outside/ : /exit code \d/);
        }
        expect(await failure(pool.run(echo(3)))).toBe(errors[0]);
      });
    });
  }

  it('what is given away moves, there and back; the rest is copied', async () => {
    await withPool(2, async ({ pool }) => {
      const parts = [Uint8Array.of(1, 2), Uint8Array.of(3)];
      const job = { kind: 'give', value: parts } as const;
      const moving = [parts[1]!.buffer];
      const { result, worker } = await pool.run(job, 0, false, moving);
      expect(parts.map(({ byteLength }) => byteLength)).toEqual([2, 0]);
      expect(result.value).toEqual([Uint8Array.of(1, 2), Uint8Array.of(3)]);
      expect((await pool.run({ kind: 'left' }, worker)).result.value).toEqual([0, 1]);
    });
  });

  it('in this thread nothing moves', async () => {
    await withPool(1, async ({ pool }) => {
      const value = [Uint8Array.of(1, 2)];
      const { result } = await pool.run({ kind: 'give', value }, undefined, false, [value[0]!.buffer]);
      expect(result.value).toBe(value);
      expect(value[0]).toEqual(Uint8Array.of(1, 2));
    });
  });

  it('a result that cannot be sent is an error of its job', async () => {
    await withPool(2, async ({ pool }) => {
      expect((await failure(pool.run({ kind: 'uncloneable' }))).message).toMatch(/could not be cloned/);
      expect((await pool.run(echo(1))).result.value).toBe(1);
    });
  });

  it('what is thrown without being an error is told', async () => {
    await withPool(2, async ({ pool }) => {
      expect((await failure(pool.run({ kind: 'text' }))).message).toBe('only text');
    });
  });

  it('what runs and what waits is rejected when the pool is closed', async () => {
    const jobs = await withPool(2, async ({ pool }) =>
      Array.from({ length: 4 }, (_, i) => failure(pool.run(echo(i, 60_000)))),
    );
    for (const error of await Promise.all(jobs)) expect(error.message).toBe('the worker pool is closed');
  });

  it('one that is in native code ends after it, and the process lives on', async () => {
    for (let round = 0; round < 4; round++) {
      const products = new SharedArrayBuffer(4);
      const pool = await openWorkerPool<ProductJobsInit, 'endless', never>({
        module: new URL('../helpers/product-jobs.js', import.meta.url),
        init: { products },
        threads: 2,
      });
      const jobs = [failure(pool.run('endless')), failure(pool.run('endless'))];
      while (Atomics.load(new Int32Array(products), 0) < 20) {
        await new Promise((resolve) => setTimeout(resolve, 1));
      }
      await pool.close();
      for (const error of await Promise.all(jobs)) expect(error.message).toBe('the worker pool is closed');
    }
  });

  it.each([1, 2])('a closed pool of %i takes no jobs', async (threads) => {
    const closed = await withPool(threads, async ({ pool }) => pool);
    expect((await failure(closed.run(echo(1)))).message).toBe('the worker pool is closed');
  });
});

describe('threads that were started before', () => {
  const module = new URL('../helpers/pool-jobs.js', import.meta.url);
  const open = (started: ReturnType<typeof startThreads>, threads: number, of = module) => {
    const counters = new SharedArrayBuffer(12);
    return openWorkerPool<PoolJobsInit, PoolJob, PoolJobResult>({
      module: of,
      init: { counters },
      threads,
      isHere: false,
      started,
    });
  };

  it('work for the pool, which starts those that it lacks; what nobody took ends', async () => {
    for (const count of [1, 3]) {
      const started = startThreads(module, count);
      const pool = await open(started, 2);
      const results = await Promise.all([pool.run(echo(0, 5)), pool.run(echo(1, 5))]);
      expect(results.map(({ result }) => result.value)).toEqual([0, 1]);
      await pool.close();
      const left = started.take();
      expect(left === undefined).toBe(count < 3);
      const ended = left && new Promise((resolve) => left.once('exit', resolve));
      left?.postMessage({ kind: 'stop' });
      expect(await ended).toBe(count < 3 ? undefined : 0);
      started.close();
    }
  });

  it('end when nobody takes them', async () => {
    const started = startThreads(module, 1);
    const worker = started.take()!;
    started.close();
    worker.postMessage({ kind: 'stop' });
    expect(await new Promise((resolve) => worker.once('exit', resolve))).toBe(0);
    const other = startThreads(module, 1);
    other.close();
    expect(other.take()).toBeUndefined();
  });

  it('tell the first job of a module that cannot be loaded', async () => {
    const missing = new URL('../helpers/no-such-module.js', import.meta.url);
    const started = startThreads(missing, 1);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const pool = await open(started, 1, missing);
    expect(await failure(pool.run(echo(0)))).toMatchObject({ code: 'ERR_MODULE_NOT_FOUND' });
    await pool.close();
    started.close();
  });
});

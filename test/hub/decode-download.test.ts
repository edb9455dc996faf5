/** pull decodes what has come of an archive while the rest is on its way, and promises what it did without that. */
import { lstat, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { PullOptions } from '../../src/hub/api.js';
import { pull } from '../../src/hub/index.js';
import { decode, encode, inspect, type Progress } from '../../src/index.js';
import { type HubDouble, startHubDouble, TOKEN } from '../helpers/hub-double.js';
import { sha256 } from '../helpers/hub-repos.js';
import { filesOf } from '../helpers/hub-setting.js';
import { matrixPair, writePair } from '../helpers/models.js';
import { listTree, withTempFolder } from '../helpers/temp-folder.js';

const REPO = 'user/tuned';
const TENSOR_COUNT = 8;
/** What is held back. */
const HELD_SHARE = 0.2;

const pairs = Array.from({ length: TENSOR_COUNT }, (_, i) => matrixPair(`w${i}`, [512, 256], 10 * i + 1));
const sideFiles = { 'config.json': '{"tuned":true}' };

let hub: HubDouble;
let folder: string;
let base: string;
/** The archive, and the digests of what it decodes to. */
let bytes: Uint8Array;
let local: Record<string, string>;
let end: () => void;
let ended: Promise<void>;

beforeAll(async () => {
  const ready = new Promise<void>((resolve) => {
    ended = withTempFolder(async (made) => {
      folder = made;
      resolve();
      await new Promise<void>((finish) => {
        end = finish;
      });
    });
  });
  await ready;
  const models = {
    base: { tensors: pairs.map((pair) => pair.base) },
    fineTuned: { tensors: pairs.map(({ fineTuned }) => fineTuned), sideFiles },
  };
  const paths = await writePair(folder, models);
  base = paths.base;
  const archive = join(folder, 'a.ere');
  // One chunk a tensor, 16 kB each: the first read, of 64 KiB, holds some.
  await encode(paths.fineTuned, { base, output: archive, preset: 'bitdelta', exactOnTop: true });
  bytes = new Uint8Array(await readFile(archive));
  await decode(archive, { base, output: join(folder, 'local') });
  local = await digestsOf(join(folder, 'local'));
});
afterAll(async () => {
  end();
  await ended;
});

let options: PullOptions;
let cache: string;
let output: string;
beforeEach(async () => {
  hub = await startHubDouble();
  hub.addFiles(REPO, { 'model.ere': bytes });
  cache = join(folder, 'hf');
  output = join(folder, 'out');
  options = {
    environment: { HF_ENDPOINT: hub.url, HF_HOME: cache, HF_TOKEN: TOKEN },
    retries: { attempts: 2, pauseMs: 1 },
    base,
    output,
  };
  return async () => {
    expect(hub.violations).toEqual([]);
    await hub.close();
    await rm(cache, { recursive: true, force: true });
    await rm(output, { recursive: true, force: true });
    expect((await listTree(folder)).filter((path) => !/^(base|tuned|local|a\.ere)/.test(path))).toEqual([]);
  };
});

interface Held {
  readonly onProgress: (progress: Progress) => void;
  /** How often a tensor was decoded: before the last part of the archive was served, and in all. */
  readonly seen: { early: number; decoded: number };
}

/** Serves the last part of `byteLength` bytes only when so many tensors are decoded, or after a while. */
function holdBack(byteLength: number, count: number): Held {
  const seen = { early: 0, decoded: 0 };
  let isHeld = true;
  let release!: () => void;
  const released = new Promise<void>((resolve) => {
    release = () => {
      isHeld = false;
      resolve();
    };
  });
  hub.pace = {
    pieceByteLength: 8192,
    before: async ({ line, offset, byteLength: piece }) => {
      const [from, last] = /bytes=(\d+)-(\d+)$/.exec(line)!.slice(1).map(Number) as [number, number];
      // The index is read by a request of its own.
      if (last + 1 < byteLength || from + offset + piece < (1 - HELD_SHARE) * byteLength) return;
      const timer = setTimeout(release, 10_000);
      await released;
      clearTimeout(timer);
    },
  };
  const onProgress = ({ phase }: Progress): void => {
    if (phase !== 'decode') return;
    seen.decoded++;
    if (isHeld && ++seen.early === count) release();
  };
  return { onProgress, seen };
}

/** By digests: comparing megabytes byte by byte takes seconds. */
async function digestsOf(path: string): Promise<Record<string, string>> {
  const { '.ere-pull.json': _record, ...files } = await filesOf(path);
  return Object.fromEntries(Object.entries(files).map(([name, content]) => [name, sha256(content)]));
}

describe('an archive is decoded while it is downloaded', () => {
  test.each([1, 2])('%i threads: tensors are there before its last bytes are served', async (threads) => {
    const { onProgress, seen } = holdBack(bytes.byteLength, 5);
    const report = await pull(REPO, { ...options, threads, onProgress });
    // Each once: nothing was done again when all of it was there.
    expect(seen).toEqual({ early: 5, decoded: TENSOR_COUNT });
    expect(await digestsOf(output)).toEqual(local);
    expect(report).toMatchObject({ isReused: false, decoded: { quality: 'exact' } });
    expect(await readdir(join(cache, 'hub', 'models--user--tuned', 'blobs'))).toHaveLength(1);
  });

  test('also its first part, for lossy quality', async () => {
    const { index } = await inspect(join(folder, 'a.ere'));
    const whole = await pull(REPO, { ...options, quality: 'lossy' });
    expect(whole.digest).toBe(index.decoded.lossyDigest);
    const { usedByteLength } = whole;
    expect(usedByteLength).toBeLessThan(bytes.byteLength / 2);
    const { onProgress, seen } = holdBack(usedByteLength, 3);
    const lossy = await pull(REPO, {
      ...options,
      quality: 'lossy',
      overwrite: true,
      sideFiles: false,
      onProgress,
    });
    expect(lossy.digest).toBe(whole.digest);
    expect(seen).toEqual({ early: 3, decoded: TENSOR_COUNT });
  });
});

describe('an archive that does not come as it should', () => {
  /** The request for all of it. */
  const WHOLE = () => new RegExp(`^GET storage.*bytes=0-${bytes.byteLength - 1}$`);
  const blobs = (): Promise<string[]> => readdir(join(cache, 'hub', 'models--user--tuned', 'blobs'));
  const nothingWritten = () => expect(lstat(output)).rejects.toMatchObject({ code: 'ENOENT' });

  test('is decoded on while the connection breaks off and is made anew', async () => {
    hub.faults.push({ on: /^GET storage/, fault: 'cut', times: 4 });
    let decoded = 0;
    await pull(REPO, { ...options, onProgress: ({ phase }) => void (phase === 'decode' && decoded++) });
    expect([hub.faultCount(), decoded]).toEqual([4, TENSOR_COUNT]);
    expect(await digestsOf(output)).toEqual(local);
  });

  test('damage that decoding meets on the way is mended by a second download', async () => {
    hub.faults.push({ on: WHOLE(), fault: 'corrupt' });
    await pull(REPO, options);
    expect(hub.faultCount()).toBe(1);
    expect(hub.requests.filter((line) => WHOLE().test(line))).toHaveLength(2);
    expect(await digestsOf(output)).toEqual(local);
    expect(await blobs()).toEqual([sha256(bytes)]);
  });

  test('damage that decoding does not meet leaves no output', async () => {
    const { index } = await inspect(join(folder, 'a.ere'));
    const { chunk } = index.sideFiles[0]!.content!;
    const behind = index.chunks.slice(chunk).reduce((sum, [byteLength]) => sum + byteLength, 0);
    const damaged = Uint8Array.from(bytes);
    damaged[bytes.byteLength - behind]! ^= 1;
    hub.objects.set(sha256(bytes), damaged);
    let decoded = 0;
    const pulled = pull(REPO, {
      ...options,
      sideFiles: false,
      onProgress: ({ phase }) => void (phase === 'decode' && decoded++),
    });
    await expect(pulled).rejects.toMatchObject({
      code: 'ERE_INTEGRITY',
      message: expect.stringContaining('hash'),
    });
    expect(decoded).toBe(TENSOR_COUNT);
    await nothingWritten();
    expect(await blobs()).toEqual([]);
  });

  test('what the network fails with is the error, and the next pull goes on behind what came', async () => {
    hub.faults.push({ on: WHOLE(), fault: 'cut' });
    hub.faults.push({ on: /^GET storage.*bytes=[1-9]/, fault: { status: 500 }, times: 99 });
    const failed = pull(REPO, { ...options, retries: { attempts: 1 } });
    await expect(failed).rejects.toMatchObject({ code: 'ERE_HUB', statusCode: 500 });
    await nothingWritten();
    const [part] = await blobs();
    expect(part).toMatch(/\.incomplete$/);
    hub.faults.length = 0;
    let decoded = 0;
    await pull(REPO, { ...options, onProgress: ({ phase }) => void (phase === 'decode' && decoded++) });
    expect(hub.requests.at(-1)).toMatch(/bytes=[1-9]\d+-/);
    expect(decoded).toBe(TENSOR_COUNT);
    expect(await digestsOf(output)).toEqual(local);
  });

  test('an abort ends it at once, also where everybody waits for the network', async () => {
    const controller = new AbortController();
    const never = new Promise<void>(() => {});
    hub.pace = {
      pieceByteLength: 8192,
      before: ({ line, offset }) => (WHOLE().test(line) && offset > 1_000_000 ? never : Promise.resolve()),
    };
    let decoded = 0;
    const onProgress = ({ phase }: Progress): void => {
      if (phase === 'decode' && ++decoded === 2) setTimeout(() => controller.abort(), 50);
    };
    const pulled = pull(REPO, { ...options, signal: controller.signal, onProgress });
    await expect(pulled).rejects.toMatchObject({ code: 'ERE_ABORTED' });
    expect(decoded).toBeLessThan(TENSOR_COUNT);
    await nothingWritten();
    expect(await blobs()).toHaveLength(1);
  });

  test('a wrong base is told as of a file that was there, and the archive stays in the cache', async () => {
    const other = join(folder, 'tuned');
    const pulled = pull(REPO, { ...options, base: other });
    await expect(pulled).rejects.toMatchObject({ code: 'ERE_CHECKPOINT_MISMATCH' });
    await nothingWritten();
    expect(await blobs()).toEqual([sha256(bytes)]);
    const report = await pull(REPO, options);
    expect(report.downloadedByteLength.archive).toBe(0);
    expect(await digestsOf(output)).toEqual(local);
  });
});

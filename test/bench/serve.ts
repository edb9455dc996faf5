/**
 * `npm run bench:serve -- [--params 1B] [--models DIR] [--clients 200] [--rounds 3] [--out docs]`: how long a range of a
 * tensor takes from a server, and how much many clients get at once, beside a static file server. The pair is generated in
 * a temporary folder, or taken from DIR/1b as `npm run make:checkpoint` made it. Markdown on stdout; with --out it replaces
 * the part of FOLDER/benchmarks.md between the marks.
 */
import { createHash } from 'node:crypto';
import { access, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { openCheckpoint } from '../../src/io/open-checkpoint.js';
import { initStore } from '../../src/store/open-store.js';
import { PROJECT_ROOT } from '../helpers/project.js';
import { replaceBetweenMarks } from './compression/markdown.js';
import { timed } from './machine.js';
import { makeCheckpoint } from './make-checkpoint/make-checkpoint.js';
import { parseParameterCount } from './make-checkpoint/model-shape.js';
import { fetchRange, type Load, type LoadFigures, runLoad } from './serve/load.js';
import { median, renderServe, SERVE_MARKS, type TensorTimes } from './serve/markdown.js';
import { type ServerProcess, startServer } from './serve/server-process.js';

const { values } = parseArgs({
  options: {
    params: { type: 'string', default: '1B' },
    models: { type: 'string' },
    clients: { type: 'string', default: '200' },
    rounds: { type: 'string', default: '3' },
    out: { type: 'string' },
  },
});
const label = values.params.toUpperCase();
const rounds = Number(values.rounds);
const clientCount = Number(values.clients);
for (const count of [rounds, clientCount]) {
  if (!(Number.isInteger(count) && count >= 1)) throw new TypeError(`expected a whole number, got ${count}`);
}
const WARM_REQUESTS = 21;
const STATIC_READS = [
  ['static server, 64 KiB reads', undefined],
  ['static server, 512 KiB reads', 512 << 10],
] as const;

const folder = await mkdtemp(join(values.models ?? tmpdir(), 'ere-serve-'));
try {
  const pair = await findPair();
  const store = join(folder, 'store');
  await timed('commit', () => makeStore(store, pair));
  const files = await timed('files', () => listServed(store));
  const [largest] = files.toSorted((x, y) => y.byteLength - x.byteLength);
  const tensors: TensorTimes[] = [];
  for (const name of tensorsOfAllSizes(files))
    tensors.push(await timed(name, () => measureTensor(store, files, name)));
  const server = await serveStore(store);
  const wholeColdMs = await timed('whole, cold', () => fetchAll(server, files));
  const wholeWarmMs = await timed('whole, warm', () => fetchAll(server, files));
  const load: Load = {
    clientCount,
    requestsPerClient: 3,
    rangeByteLength: Math.min(8 << 20, largest!.byteLength),
    fileByteLength: largest!.byteLength,
  };
  const copy = join(folder, 'static.safetensors');
  await timed('static copy', () => download(`${server.url}${largest!.path}`, copy));
  const servers = await Promise.all(
    STATIC_READS.map(([, reads]) =>
      startServer([
        join(PROJECT_ROOT, 'dist/test/bench/serve/static-file.js'),
        copy,
        ...(reads === undefined ? [] : [String(reads)]),
      ]),
    ),
  );
  const served: LoadFigures[] = [];
  const statics = STATIC_READS.map(([name]) => ({ name, rounds: [] as LoadFigures[] }));
  for (let round = 0; round < rounds; round++) {
    served.push(await timed('load', () => runLoad(`${server.url}${largest!.path}`, load)));
    for (const [i, other] of servers.entries())
      statics[i]!.rounds.push(await timed('static', () => runLoad(other.url, load)));
  }
  const peakByteLength = server.peakByteLength();
  await Promise.all([server, ...servers].map((each) => each.stop()));
  const document = renderServe({
    machine: machine(),
    label,
    fileByteLength: files.reduce((sum, { byteLength }) => sum + byteLength, 0),
    tensors,
    wholeColdMs,
    wholeWarmMs,
    load,
    served,
    statics,
    peakByteLength,
  });
  if (values.out === undefined) process.stdout.write(document);
  else {
    const path = join(values.out, 'benchmarks.md');
    await writeFile(path, replaceBetweenMarks(await readFile(path, 'utf8'), document, SERVE_MARKS));
  }
} finally {
  await rm(folder, { recursive: true, force: true });
}

interface ServedTensor {
  readonly name: string;
  readonly start: number;
  readonly byteLength: number;
}

interface ServedWeights {
  /** Address on the server. */
  readonly path: string;
  readonly byteLength: number;
  readonly sha256: string;
  readonly tensors: readonly ServedTensor[];
}

async function findPair(): Promise<string> {
  const found = values.models === undefined ? undefined : join(values.models, label.toLowerCase());
  if (
    found !== undefined &&
    (await access(found).then(
      () => true,
      () => false,
    ))
  )
    return found;
  const output = join(folder, 'pair');
  await timed('make', () => makeCheckpoint({ parameterCount: parseParameterCount(label), output }));
  return output;
}

async function makeStore(path: string, pair: string): Promise<void> {
  const store = await initStore(path);
  await store.addBase('base', join(pair, 'base'));
  const budget = { kind: 'ratio', ratio: 0.06 } as const;
  await store.commit(join(pair, 'fine-tuned'), { message: label, model: 'bench/model', budget });
  await store.close();
}

function serveStore(store: string): Promise<ServerProcess> {
  const bin = join(PROJECT_ROOT, 'dist/cli/bin.js');
  const argv = [bin, 'serve', '--store', store, '--port', '0', '--cache-dir', join(folder, 'cache')];
  return startServer(argv);
}

/** The weight files and where their tensors lie, as a client finds them. */
async function listServed(store: string): Promise<ServedWeights[]> {
  const server = await serveStore(store);
  try {
    const tree = (await (await fetch(`${server.url}/api/models/bench/model/tree/main`)).json()) as {
      readonly path: string;
      readonly size: number;
      readonly lfs?: { readonly oid: string };
    }[];
    const files: ServedWeights[] = [];
    for (const { path, size, lfs } of tree) {
      if (lfs === undefined) continue;
      const address = `/bench/model/resolve/main/${path}`;
      const local = join(folder, path);
      await download(`${server.url}${address}`, local);
      const checkpoint = await openCheckpoint(local);
      const tensors = [...checkpoint.tensors.values()].map(({ name, byteLength, byteOffset }) => ({
        name,
        start: byteOffset,
        byteLength,
      }));
      await checkpoint.close();
      await rm(local);
      files.push({ path: address, byteLength: size, sha256: lfs.oid, tensors });
    }
    return files;
  } finally {
    await server.stop();
  }
}

/** A norm, a projection, a matrix of the feed-forward part and the embeddings: four sizes. */
function tensorsOfAllSizes(files: readonly ServedWeights[]): string[] {
  const bySize = new Map<number, string>();
  for (const { tensors } of files) for (const { name, byteLength } of tensors) bySize.set(byteLength, name);
  return [...bySize].sort(([x], [y]) => x - y).map(([, name]) => name);
}

async function measureTensor(
  store: string,
  files: readonly ServedWeights[],
  name: string,
): Promise<TensorTimes> {
  const file = files.find(({ tensors }) => tensors.some((tensor) => tensor.name === name))!;
  const { start, byteLength } = file.tensors.find((tensor) => tensor.name === name)!;
  const server = await serveStore(store);
  try {
    const url = `${server.url}${file.path}`;
    await fetch(url, { method: 'HEAD' }); // The version is open then, as on a server that runs.
    const cold = await fetchRange(url, [start, start + byteLength]);
    const warm: number[] = [];
    for (let i = 0; i < WARM_REQUESTS; i++)
      warm.push((await fetchRange(url, [start, start + byteLength])).firstByteMs);
    return { name, byteLength, coldMs: cold.totalMs, warmFirstByteMs: median(warm) };
  } finally {
    await server.stop();
  }
}

/** All files one after another; their hashes are checked. */
async function fetchAll(server: ServerProcess, files: readonly ServedWeights[]): Promise<number> {
  let totalMs = 0;
  for (const { path, sha256 } of files) {
    const hash = createHash('sha256');
    const found = await fetchRange(`${server.url}${path}`, undefined, undefined, (bytes) =>
      hash.update(bytes),
    );
    if (hash.digest('hex') !== sha256) throw new Error(`${path} was served with other bytes`);
    totalMs += found.totalMs;
  }
  return totalMs;
}

async function download(url: string, path: string): Promise<void> {
  const file = await open(path, 'w');
  try {
    const response = await fetch(url);
    for await (const bytes of response.body!) await file.write(bytes);
  } finally {
    await file.close();
  }
}

/** In general words: results are committed. */
function machine(): string {
  const cores = `${availableParallelism()} cores of ${cpus()[0]?.model.trim() ?? 'an unknown CPU'}`;
  return `${cores}, Node ${process.versions.node}, \`npm run bench:serve -- --params ${label} --clients ${clientCount} --rounds ${rounds} --out docs\`.`;
}

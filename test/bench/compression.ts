/**
 * `npm run bench:compression -- [--quick] [--out docs]`: every method on every pair, in tables, against
 * what has to be reached. Markdown on stdout; with --out it replaces the part of FOLDER/benchmarks.md
 * between the marks, and writes FOLDER/benchmarks/rate-distortion.svg. A quick run takes small pairs and few
 * methods; `--pair NAME`, as often as wanted, measures some pairs only, which is to be looked at and not to be kept.
 */
import { rmSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { exitCodeOf, exitStatus } from '../../cli/exit-codes.js';
import { INTERRUPTS } from '../../cli/signals.js';
import { UnsupportedError } from '../../formats/errors.js';
import { decode, encode } from '../../src/index.js';
import { tinylm } from '../helpers/tinylm.js';
import { figureOf } from './compression/figure.js';
import {
  type PairSection,
  paragraph,
  renderComparisons,
  renderPairSection,
  renderRequirements,
  replaceBetweenMarks,
} from './compression/markdown.js';
import { evaluate, measure, type Pair } from './compression/measure.js';
import { METHODS, type PairKind } from './compression/methods.js';
import { PAIRS, withPair } from './compression/pairs.js';
import { comparisons, type ModelQuality, requirements, type Speed } from './compression/requirements.js';

const { values } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    pair: { type: 'string', multiple: true },
    out: { type: 'string' },
  },
});
const isQuick = values.quick;
const KINDS = (Object.keys(PAIRS) as PairKind[]).filter((kind) => values.pair?.includes(kind) ?? true);
if (values.pair !== undefined && (KINDS.length !== values.pair.length || values.out !== undefined)) {
  throw new TypeError(`expected --pair of ${Object.keys(PAIRS).join(', ')}, and no --out with it`);
}
const FIGURE = join('benchmarks', 'rate-distortion.svg');

const folder = await mkdtemp(join(tmpdir(), 'ere-bench-'));
for (const signal of INTERRUPTS) {
  process.once(signal, () => {
    rmSync(folder, { recursive: true, force: true });
    process.exit(exitStatus(exitCodeOf(undefined, signal)));
  });
}
try {
  const sections = new Map<PairKind, PairSection>();
  for (const kind of KINDS) {
    sections.set(kind, await withPair(kind, folder, isQuick, (pair) => measurePair(pair)));
  }
  const speed = await measureSpeed(isQuick ? 1 : 3);
  const document = render(sections, speed);
  if (values.out === undefined) process.stdout.write(document);
  else await writeResults(values.out, document, sections);
} finally {
  await rm(folder, { recursive: true, force: true });
}

async function measurePair(pair: Pair): Promise<PairSection> {
  const methods = METHODS[pair.kind].filter(({ quick }) => !isQuick || quick);
  const quality = await modelQuality(pair);
  // Without onnxruntime-node there is nothing to evaluate with.
  const { text: _, ...silent } = pair;
  const measured = quality === undefined ? silent : pair;
  const section = { pair, description: PAIRS[pair.kind].description, quality };
  const measurements: PairSection['measurements'][number][] = [];
  const absences: PairSection['absences'][number][] = [];
  for (const method of methods) {
    const started = performance.now();
    const result = await measure(measured, method, folder);
    if ('reason' in result) absences.push(result);
    else measurements.push(result);
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    const outcome = 'reason' in result ? result.reason : `${result.byteLength} bytes`;
    process.stderr.write(`${pair.kind}: ${method.name}: ${outcome} (${seconds} s)\n`);
  }
  return { ...section, measurements, absences };
}

/** Bits per byte of both models of a pair, where there is a text and something to run them. */
async function modelQuality(pair: Pair): Promise<ModelQuality | undefined> {
  try {
    const base = await evaluate(pair.basePath, pair.text);
    const fineTuned = await evaluate(pair.fineTunedPath, pair.text);
    if (base === undefined || fineTuned === undefined) return undefined;
    return { base: base.bitsPerByte, fineTuned: fineTuned.bitsPerByte };
  } catch (error) {
    if (error instanceof UnsupportedError && error.feature === 'onnxruntime-node') return undefined;
    throw error;
  }
}

/** What `npm run demo` does, as often as asked; medians. */
async function measureSpeed(runs: number): Promise<Speed> {
  const encodeMs: number[] = [];
  const decodeMs: number[] = [];
  const archive = join(folder, 'demo.ere');
  const output = join(folder, 'demo');
  for (let run = 0; run < runs; run++) {
    const budget = { kind: 'ratio', ratio: 0.06 } as const;
    const encoded = await encode(tinylm('python'), {
      base: tinylm('base'),
      output: archive,
      budget,
      overwrite: true,
    });
    const decoded = await decode(archive, { base: tinylm('base'), output, overwrite: true });
    encodeMs.push(encoded.durationMs);
    decodeMs.push(decoded.durationMs);
  }
  const median = (all: number[]): number => all.sort((x, y) => x - y)[Math.floor(all.length / 2)]!;
  return { encodeMs: median(encodeMs), decodeMs: median(decodeMs) };
}

function render(sections: ReadonlyMap<PairKind, PairSection>, speed: Speed): string {
  const results = new Map([...sections].map(([kind, { measurements }]) => [kind, measurements]));
  const quality = sections.get('tinylm')?.quality;
  const rows = requirements(results, quality, speed);
  const gain =
    quality === undefined
      ? ''
      : " The gain is what fine-tuning takes off the base's bits per byte, " +
        `${quality.base.toFixed(4)} → ${quality.fineTuned.toFixed(4)}.`;
  const quickNote = isQuick
    ? ' A quick run: generated pairs are one matrix of 512 × 384, whatever is said of them below.'
    : '';
  return [
    `## Compression\n`,
    paragraph(
      `${machine()}, \`npm run bench:compression -- ${isQuick ? '--quick ' : ''}--out docs\`.${quickNote}`,
    ),
    paragraph(
      'Share is over the bytes of the fine-tuned weight files, and counts the whole archive. Bits per weight are those of ' +
        'the matrices that differ. Errors are measured on decoded files: ‖W_ft − Ŵ‖ / ‖W_ft − W_base‖ over these ' +
        `matrices, its square, and −10·log10 of that.${gain}`,
    ),
    `![Rate–distortion curves of all methods](${FIGURE.replaceAll('\\', '/')})\n`,
    '### Requirements\n',
    renderRequirements(rows),
    '### At equal error\n',
    paragraph(
      'Bits per weight of the matrices where the other method was measured, at all its widths and allocations, the ' +
        'best of them. Between its own points the default is interpolated linearly in bits over dB.',
    ),
    renderComparisons(comparisons(results)),
    ...[...sections.values()].map(renderPairSection),
  ].join('\n');
}

/** In general words: results are committed. */
function machine(): string {
  const architecture = process.arch === 'x64' ? 'x86-64' : process.arch;
  return `${availableParallelism()}-core ${architecture} server CPU, Node ${process.versions.node}`;
}

async function writeResults(
  out: string,
  document: string,
  sections: ReadonlyMap<PairKind, PairSection>,
): Promise<void> {
  const path = join(out, 'benchmarks.md');
  await writeFile(path, replaceBetweenMarks(await readFile(path, 'utf8'), document));
  await mkdir(join(out, 'benchmarks'), { recursive: true });
  await writeFile(join(out, FIGURE), figureOf(sections));
}

import { access, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openArchive } from '../../formats/ere/open-archive.js';
import { parseSafetensorsHeader } from '../../formats/safetensors/parse-header.js';
import { lowRankCodec } from '../../src/codecs/low-rank.js';
import { type ExportLoraOptions, exportLora } from '../../src/export/peft.js';
import { openFileSource } from '../../src/io/file-source.js';
import { encode } from '../../src/residual/encode.js';
import { mergedLora, writeMergedLora } from '../helpers/merged-lora.js';
import { safetensorsBytes } from '../helpers/safetensors-bytes.js';
import { withTempFolder } from '../helpers/temp-folder.js';
import { tinylm } from '../helpers/tinylm.js';
import { wasm } from '../kernels/samples.js';

interface Factor {
  readonly shape: readonly number[];
  readonly dtype: string;
  readonly values: Float32Array;
}

/** The tensors of an adapter by name. */
async function readAdapter(folder: string): Promise<Map<string, Factor>> {
  const bytes = await readFile(`${folder}/adapter_model.safetensors`);
  const header = parseSafetensorsHeader(bytes, { file: 'adapter_model.safetensors' });
  expect(header.metadata).toEqual(new Map([['format', 'pt']]));
  return new Map(
    header.tensors.map(({ name, dtype, shape, dataOffsets: [begin, end] }) => {
      const values = new Float32Array(shape[0]! * shape[1]!);
      wasm.toFloat32(
        dtype as 'F32',
        bytes.subarray(header.byteLength + begin, header.byteLength + end),
        values,
      );
      return [name, { shape, dtype, values }];
    }),
  );
}

/** B · A in float32: (out × r) · (r × in). */
function product(a: Factor, b: Factor): Float32Array {
  const [m, k, n] = [b.shape[0]!, b.shape[1]!, a.shape[1]!];
  const c = new Float32Array(m * n);
  wasm.gemm({ m, n, k, a: b.values, b: a.values, c });
  return c;
}

/** What decoding adds to the base, of one tensor. */
async function decodedResidual(path: string, name: string): Promise<Float32Array> {
  const source = await openFileSource(path);
  const archive = await openArchive(source);
  const { shape, terms, columns } = archive.index.tensors.find((tensor) => tensor.name === name)!;
  const rows = shape[0]!;
  const decoder = await lowRankCodec.open({
    term: terms[0]!,
    subject: name,
    rowCount: rows,
    columns,
    rowByteLength: 0,
    dtype: 'BF16',
    kernels: wasm,
    chunk: (i) => archive.readChunk(terms[0]!.chunks[i]!),
  });
  if (decoder.kind !== 'additive') throw new TypeError('expected an additive decoder');
  const residual = new Float32Array(rows * columns);
  await decoder.prepare(0, rows);
  decoder.accumulate(0, rows, residual);
  decoder.close();
  await source.close();
  return residual;
}

/** Largest difference over the largest magnitude. */
function relativeDistance(x: Float32Array, y: Float32Array): number {
  const largest = (values: Float32Array) => values.reduce((max, value) => Math.max(max, Math.abs(value)), 0);
  return largest(x.map((value, i) => value - y[i]!)) / largest(y);
}

/** A merged adapter of two matrices as an archive of preset lora. */
async function withMerged(use: (archive: string, folder: string) => Promise<void>): Promise<void> {
  await withTempFolder(async (folder) => {
    const lora = { rows: 256, columns: 192, rank: 4, relativeSpread: 0.03, seed: 3, kernels: wasm };
    await writeMergedLora(folder, 2, lora);
    const archive = `${folder}/lora.ere`;
    await encode(`${folder}/tuned.safetensors`, {
      base: `${folder}/base.safetensors`,
      output: archive,
      preset: 'lora',
    });
    await use(archive, folder);
  });
}

/** The tiny model at rank 6, encoded once; each test has a folder of its own. */
let archiveFolder: string;
beforeAll(async () => {
  archiveFolder = await mkdtemp(join(tmpdir(), 'ere-test-'));
  const budget = { kind: 'rank', rank: 6 } as const;
  const options = { base: tinylm('base'), preset: 'lora', budget, sideFiles: false } as const;
  await encode(tinylm('python'), { ...options, output: `${archiveFolder}/lora.ere` });
});
afterAll(() => rm(archiveFolder, { recursive: true, force: true }));

function withModules(use: (archive: string, base: string, folder: string) => Promise<void>): Promise<void> {
  return withTempFolder((folder) => use(`${archiveFolder}/lora.ere`, tinylm('base'), folder));
}

test('B·A is the residual that decoding adds, for layers and embeddings, in every dtype', async () => {
  await withModules(async (archive, base, folder) => {
    for (const [dtype, tolerance] of [
      ['F32', 1e-6],
      ['F16', 2e-3],
      ['BF16', 2e-2],
    ] as const) {
      const output = `${folder}/${dtype}`;
      const report = await exportLora(archive, { output, base, dtype, drop: true });
      const adapter = await readAdapter(output);
      expect(adapter.size).toBe(2 * report.modules.length);
      const linear = 'base_model.model.model.layers.3.mlp.down_proj';
      const [a, b] = [adapter.get(`${linear}.lora_A.weight`)!, adapter.get(`${linear}.lora_B.weight`)!];
      expect([a.shape, b.shape, a.dtype]).toEqual([[6, 704], [256, 6], dtype]);
      const residual = await decodedResidual(archive, 'model.layers.3.mlp.down_proj.weight');
      expect(relativeDistance(product(a, b), residual)).toBeLessThan(tolerance);

      const embedding = 'base_model.model.model.embed_tokens';
      const [ea, eb] = [
        adapter.get(`${embedding}.lora_embedding_A`)!,
        adapter.get(`${embedding}.lora_embedding_B`)!,
      ];
      const transposed = product(ea, eb); // width × vocabulary
      const [vocabulary, width] = [ea.shape[1]!, eb.shape[0]!];
      const update = transposed.map((_, i) => transposed[(i % width) * vocabulary + Math.floor(i / width)]!);
      expect(
        relativeDistance(update, await decodedResidual(archive, 'model.embed_tokens.weight')),
      ).toBeLessThan(tolerance);
    }
  });
});

test('of a merged adapter the product is exported, without the small weights that were corrected', async () => {
  await withTempFolder(async (folder) => {
    const merged = mergedLora({
      rows: 96,
      columns: 64,
      rank: 2,
      relativeSpread: 0.03,
      seed: 3,
      kernels: wasm,
    });
    for (const side of ['base', 'fineTuned'] as const) {
      const tensor = { name: 'layer.weight', dtype: 'BF16', shape: [96, 64], data: merged[side] } as const;
      await writeFile(`${folder}/${side}.safetensors`, safetensorsBytes([tensor]));
    }
    const [archive, output, base] = ['lora.ere', 'adapter', 'base.safetensors'].map(
      (name) => `${folder}/${name}`,
    ) as [string, string, string];
    const options = { base, output: archive, preset: 'lora' } as const;
    const { tensors } = await encode(`${folder}/fineTuned.safetensors`, options);
    expect(tensors[0]!.codecs).toEqual(['low-rank', 'interval-small']);
    const report = await exportLora(archive, { output, base });
    expect(report).toMatchObject({ dropped: [], modules: [{ rank: 2 }] });
    const adapter = await readAdapter(output);
    const factor = (name: string) => adapter.get(`base_model.model.layer.lora_${name}.weight`)!;
    expect(relativeDistance(product(factor('A'), factor('B')), merged.product.data)).toBeLessThan(0.01);
  });
});

test('what an adapter cannot hold is refused by name, and with drop it is listed', async () => {
  await withModules(async (archive, base, folder) => {
    const output = `${folder}/adapter`;
    const refused = await exportLora(archive, { output, base }).catch((cause: unknown) => cause);
    expect(refused).toMatchObject({ code: 'ERE_UNSUPPORTED' });
    expect((refused as Error).message).toMatch(
      /"model\.[a-z0-9_.]+norm\.weight": stored by codec interval, not as a low-rank product/,
    );
    await expect(access(output)).rejects.toThrow();
    const { dropped, modules } = await exportLora(archive, { output, drop: true });
    expect(dropped).toHaveLength(13);
    expect(dropped.every(({ name }) => name.endsWith('norm.weight'))).toBe(true);
    expect(modules).toHaveLength(44);
    const config = JSON.parse(await readFile(`${output}/adapter_config.json`, 'utf8'));
    expect(config).toMatchObject({ r: 6, lora_alpha: 6, base_model_name_or_path: 'base', rank_pattern: {} });
  });
});

test('tensors that are no module weights are refused', async () => {
  await withMerged(async (archive, folder) => {
    const error = await exportLora(archive, { output: `${folder}/adapter`, drop: true }).catch(
      (cause: unknown) => cause,
    );
    expect(error).toMatchObject({ code: 'ERE_UNSUPPORTED' });
    expect((error as Error).message).toContain(
      'no tensor is stored as a low-rank product that an adapter could hold',
    );
  });
});

test('the base is checked where it is given, and named as the user says', async () => {
  await withModules(async (archive, _, folder) => {
    const output = `${folder}/adapter`;
    const wrong = exportLora(archive, { output, base: tinylm('python'), drop: true });
    await expect(wrong).rejects.toMatchObject({ code: 'ERE_CHECKPOINT_MISMATCH' });
    await exportLora(archive, { output, drop: true, baseModel: 'org/tinylm' });
    const config = JSON.parse(await readFile(`${output}/adapter_config.json`, 'utf8'));
    expect(config.base_model_name_or_path).toBe('org/tinylm');
  });
});

describe('options', () => {
  test('another dtype is TypeError', async () => {
    const options = { output: 'never', dtype: 'F64' } as unknown as ExportLoraOptions;
    await expect(exportLora('never.ere', options)).rejects.toThrow(TypeError);
  });

  test('an existing output is kept unless it may be replaced', async () => {
    await withModules(async (archive, _, folder) => {
      const options = { output: `${folder}/adapter`, drop: true };
      await exportLora(archive, options);
      await expect(exportLora(archive, options)).rejects.toMatchObject({ code: 'ERE_CONFLICT' });
      await exportLora(archive, { ...options, overwrite: true });
    });
  });
});

/** Stores that nobody wrote so: whatever the bytes, our errors, in little memory and on a stack of any depth. */
import { createHash } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Digest } from '../../formats/ere/archive-index.js';
import { EreError } from '../../formats/errors.js';
import { nodeRuntime } from '../../src/io/node-runtime.js';
import type { Store } from '../../src/store/api.js';
import { createMemoryBackend } from '../../src/store/backends/memory.js';
import { objectKey, recipeKey, SUMMARIES_KEY, versionKey } from '../../src/store/layout.js';
import { parseManifest } from '../../src/store/manifest.js';
import { initStore, openStore } from '../../src/store/open-store.js';
import { MAX_DEPTH, parseRecipe, type Recipe, sealRecipe } from '../../src/store/recipe.js';
import { openRecord, sealRecord } from '../../src/store/record.js';
import { StoreReader } from '../../src/store/store-reader.js';
import { TensorSource } from '../../src/store/tensor-source.js';
import { type Committed, type StoreFixture, storeFiles, withStore } from '../helpers/stores.js';

const digestOf = (bytes: Uint8Array): Digest => `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
const named = (text: string): Digest => digestOf(new TextEncoder().encode(text));

/** What the operation throws is ours. */
async function expectOurs(work: () => Promise<unknown>): Promise<void> {
  try {
    await work();
  } catch (error) {
    if (!(error instanceof EreError)) throw error;
  }
}

async function everyRead(store: Store, folder: string): Promise<void> {
  await expectOurs(() => store.log());
  await expectOurs(() => store.show('main'));
  await expectOurs(() => store.show('main~1'));
  await expectOurs(() => store.stats());
  await expectOurs(() => store.refs());
  await expectOurs(() => store.bases());
  await expectOurs(() =>
    store.checkout('main', { output: join(folder, 'out'), overwrite: true, threads: 1 }),
  );
  await expectOurs(() => store.gc({ dryRun: true }));
  await store.fsck({ full: true, threads: 1 });
}

async function withTwoVersions(
  use: (fixture: StoreFixture, committed: readonly Committed[]) => Promise<void>,
): Promise<void> {
  await withStore(async (fixture) => {
    const first = await fixture.commit(1);
    await use(fixture, [first, await fixture.commit(2, { against: first.id })]);
  });
}

describe('layout', () => {
  test.each(['ere-store 2\n', 'ere-store 1', 'x', ''])(
    'a store of layout %j is refused by name',
    async (text) => {
      const backend = createMemoryBackend();
      await backend.write('format', new TextEncoder().encode(text));
      await expect(openStore(backend)).rejects.toMatchObject({ code: 'ERE_UNSUPPORTED' });
      await expect(openStore(backend)).rejects.toThrow(`found ${JSON.stringify(text.trim())}`);
    },
  );

  test('a long value in place of the layout version is not read', async () => {
    const backend = createMemoryBackend();
    await backend.write('format', new Uint8Array(2000));
    await expect(openStore(backend)).rejects.toMatchObject({ code: 'ERE_LIMIT' });
  });

  test('values that a store does not have are passed over', async () => {
    await withTwoVersions(async ({ store, storePath, expectCheckout }, [, second]) => {
      for (const path of ['notes.txt', '.DS_Store', 'objects/README', 'extra/x']) {
        await mkdir(dirname(join(storePath, path)), { recursive: true });
        await writeFile(join(storePath, path), 'x');
      }
      await expectCheckout('main', second!.path);
      expect(await store.log()).toHaveLength(2);
    });
  });
});

describe('records', () => {
  const digest = named('x');

  test('what was sealed is opened, also where it deflates a thousand times', async () => {
    for (const value of [null, 0, 'x', [], { a: [1, 2] }, 'a'.repeat(1_000_000)]) {
      const { bytes, digest } = sealRecord(value);
      const opened = await openRecord(bytes, 'file');
      expect(opened.value.value).toEqual(value);
      expect(opened.digest).toBe(digest);
    }
  });

  test('random bytes throw only our errors', async () => {
    const parsers = [
      (bytes: Uint8Array) => openRecord(bytes, 'file'),
      (bytes: Uint8Array) => parseManifest(bytes, digest, 'file'),
      (bytes: Uint8Array) => parseRecipe(bytes, digest, 'file'),
    ];
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200 }), fc.boolean(), async (random, isRecord) => {
        const head = isRecord ? [0x45, 0x52, 0x53, 0x31, random[0] ?? 0, 0, 0, 0] : [];
        const bytes = Uint8Array.from([...head, ...random]);
        for (const parse of parsers) await expect(parse(bytes)).rejects.toBeInstanceOf(EreError);
      }),
      { numRuns: 200 },
    );
  });

  test('any JSON in a record throws only our errors', async () => {
    const field = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.constant(digest));
    const names = [
      'kind',
      'digest',
      'objects',
      'terms',
      'chunks',
      'shape',
      'dtype',
      'columns',
      'parents',
      'tensors',
    ];
    const json = fc.oneof(
      fc.jsonValue(),
      fc.record(Object.fromEntries(names.map((name) => [name, field])), { requiredKeys: ['digest'] }),
    );
    await fc.assert(
      fc.asyncProperty(json, async (value) => {
        const record = sealRecord(value);
        await expectOurs(() => parseManifest(record.bytes, record.digest, 'file'));
        await expectOurs(() => parseRecipe(record.bytes, digest, 'file'));
      }),
      { numRuns: 300 },
    );
  });

  test('a kilobyte cannot make a reader inflate more than 64 times as much', async () => {
    const zeros = deflateRawSync(Buffer.alloc(1_000_000, ' '));
    expect(zeros.byteLength).toBeLessThan(1100);
    const bytes = new Uint8Array(40 + zeros.byteLength);
    bytes.set([0x45, 0x52, 0x53, 0x31], 0);
    bytes.set(zeros, 40);
    for (const claimed of [0xffffffff, 1_000_000, 100_000]) {
      new DataView(bytes.buffer).setUint32(4, claimed, true);
      await expect(openRecord(bytes, 'file')).rejects.toMatchObject({ code: 'ERE_LIMIT' });
    }
    new DataView(bytes.buffer).setUint32(4, 60_000, true);
    await expect(openRecord(bytes, 'file')).rejects.toMatchObject({ code: 'ERE_FORMAT' });
  });

  const fine: Recipe = {
    digest,
    dtype: 'F32',
    shape: [2, 2],
    columns: 2,
    reference: { digest: named('y'), dtype: 'F32', shape: [2, 2] },
    terms: [{ codec: 'interval', params: {}, chunks: [0] }],
    chunks: [{ object: digest, byteOffset: 0, byteLength: 4, crc32: 0 }],
  };
  const broken: Readonly<Record<string, Partial<Recipe>>> = {
    'columns that do not divide it': { columns: 3 },
    'no columns': { columns: 0 },
    'a shape of too many elements': { shape: [2 ** 40, 2 ** 40] },
    'a chunk that is not there': { terms: [{ codec: 'interval', params: {}, chunks: [1] }] },
    'a chunk that nothing uses': { terms: [] },
    'a chunk twice': { terms: [{ codec: 'interval', params: {}, chunks: [0, 0] }] },
    'rows outside': { terms: [{ codec: 'interval', params: {}, chunks: [0], rows: [1, 3] }] },
    'a chunk over the limit': { chunks: [{ object: digest, byteOffset: 0, byteLength: 2 ** 40, crc32: 0 }] },
  };

  test('a recipe is read as it was sealed', async () => {
    expect(await parseRecipe(sealRecipe(fine), digest, 'file')).toEqual(fine);
    const { reference: _, ...whole } = fine;
    expect(await parseRecipe(sealRecipe(whole), digest, 'file')).toEqual(whole);
    await expect(parseRecipe(sealRecipe(fine), named('z'), 'file')).rejects.toMatchObject({
      code: 'ERE_INTEGRITY',
    });
  });

  test.each(Object.entries(broken))('a recipe with %s is refused', async (_, fault) => {
    const parsed = parseRecipe(sealRecipe({ ...fine, ...fault }), digest, 'file');
    await expect(parsed).rejects.toMatchObject({ code: expect.stringMatching(/^ERE_(FORMAT|LIMIT)$/) });
  });
});

describe('a store with other bytes in any of its values', () => {
  test('throws only our errors, whatever is done with it', async () => {
    await withTwoVersions(async ({ store, storePath, folder }) => {
      const files = [...(await storeFiles(storePath)).keys()].filter((path) => path !== 'format');
      await fc.assert(
        fc.asyncProperty(
          fc.constantFrom(...files),
          fc.uint8Array({ maxLength: 64 }),
          fc.nat(),
          async (path, bytes, at) => {
            const whole = await readFile(join(storePath, path));
            const damaged = at % 2 === 0 ? bytes : Buffer.from(whole);
            if (at % 2 === 1) damaged[at % whole.byteLength]! ^= 1 + (at % 255);
            await writeFile(join(storePath, path), damaged);
            await everyRead(store, folder);
            await writeFile(join(storePath, path), whole);
          },
        ),
        { numRuns: 25 },
      );
      expect((await store.fsck({ full: true, threads: 1 })).problems).toEqual([]);
    });
  });

  test('a cache that says something else is not believed in form', async () => {
    await withTwoVersions(async ({ store, storePath, folder }, [first]) => {
      await mkdir(join(storePath, 'cache'), { recursive: true });
      for (const value of [null, [1], [{}], [{ id: first!.id }], [{ id: first!.id, parents: 3 }]]) {
        await writeFile(join(storePath, SUMMARIES_KEY), sealRecord(value).bytes);
        await everyRead(store, folder);
        expect(await store.log()).toHaveLength(2);
      }
    });
  });

  test('removed versions that lead back to themselves end', async () => {
    await withTwoVersions(async ({ store, storePath, folder }, [first, second]) => {
      await store.remove(first!.id);
      const parents = [first!.id];
      const path = join(storePath, 'removed', first!.id.slice(7));
      await writeFile(path, sealRecord({ parents, model: 'main' }).bytes);
      await expect(store.show('main~1')).rejects.toMatchObject({ code: 'ERE_NOT_FOUND' });
      expect((await store.log()).map(({ id }) => id)).toEqual([second!.id]);
      await everyRead(store, folder);
    });
  });

  test('a manifest in the place of another is not taken for it', async () => {
    await withTwoVersions(async ({ store, storePath }, [first, second]) => {
      const bytes = await readFile(join(storePath, versionKey(first!.id)));
      await writeFile(join(storePath, versionKey(second!.id)), bytes);
      await expect(store.show('main')).rejects.toMatchObject({ code: 'ERE_INTEGRITY' });
    });
  });

  test('another codec in a recipe down a chain is refused by name', async () => {
    await withTwoVersions(async ({ store, storePath, folder }, [first]) => {
      const { tensors } = await store.show(first!.id);
      const { digest } = tensors.find(({ name }) => name === 'layers.0.weight')!;
      const path = join(storePath, recipeKey(digest));
      const recipe = await parseRecipe(await readFile(path), digest, path);
      const terms = recipe.terms.map((term) => ({ ...term, codec: 'unheard-of' }));
      await writeFile(path, sealRecipe({ ...recipe, terms }));
      const checkout = store.checkout('main', { output: join(folder, 'out'), threads: 1 });
      await expect(checkout).rejects.toMatchObject({ code: 'ERE_UNSUPPORTED' });
      await expect(store.checkout('main', { output: join(folder, 'out'), threads: 1 })).rejects.toThrow(
        /unheard-of/,
      );
    });
  });
});

describe('chains', () => {
  /** A tensor of four bytes, and so many recipes that refer each to the next and add nothing. */
  async function chainOf(length: number) {
    const backend = createMemoryBackend();
    await (await initStore(backend)).close();
    const bytes = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
    const object = digestOf(bytes);
    await backend.write(objectKey(object), bytes);
    const layout = { dtype: 'F32', shape: [1, 2] } as const;
    const link = (i: number): Digest => named(`link ${i}`);
    for (let i = 0; i < length; i++) {
      const own = { digest: link(i), ...layout, columns: 2, terms: [], chunks: [] };
      await backend.write(
        recipeKey(link(i)),
        sealRecipe({ ...own, reference: { digest: link(i + 1), ...layout } }),
      );
    }
    const base = { location: 'base', tensors: new Map(), files: [], sideFiles: [], skippedFiles: [] };
    const source = new TensorSource({
      backend,
      recipes: (await new StoreReader(backend).trace([link(0)])).recipes,
      bases: [
        {
          checkpoint: {
            ...base,
            read: async (_, from = 0, count = 8) => bytes.slice(from, from + count),
            close: async () => {},
          },
          names: new Map([[link(length), 'x']]),
        },
      ],
      runtime: nodeRuntime('wasm'),
    });
    return { source, top: link(0), bytes };
  }

  test.each([1, 2, 100, MAX_DEPTH])('of %i recipes are read', async (length) => {
    const { source, top, bytes } = await chainOf(length);
    const reader = await source.open(top);
    expect(new Uint8Array(await reader.read(0, 8))).toEqual(bytes);
    expect(new Uint8Array(await reader.read(4, 4))).toEqual(bytes.slice(4));
    await reader.close();
    await source.close();
  });

  test('of more recipes than allowed are refused, without overflowing the stack', async () => {
    const { source, top } = await chainOf(MAX_DEPTH + 1);
    await expect(source.open(top)).rejects.toMatchObject({ code: 'ERE_INTEGRITY' });
    await source.close();
  });
});

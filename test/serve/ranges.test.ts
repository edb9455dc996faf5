/** The Range header: any range of any file is that slice of it, and what cannot be is refused. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseRange } from '../../src/serve/range.js';
import { resolvePath, sharedModels, sharedServe } from '../helpers/serve-setting.js';

const models = sharedModels();
const served = sharedServe(() => ({ store: models.now.storePath, threads: 2 }));

const WEIGHTS = resolvePath('chat', 'main', 'model.safetensors');
const weights = () => models.now.chat[2]!.files.get('model.safetensors')!;
const get = (range: string, path = WEIGHTS, headers: Record<string, string> = {}) =>
  served.now.ask(path, { headers: { range, ...headers } });

/** Where tensors begin in the file, and its header ends. */
function borders(bytes: Buffer): number[] {
  const dataOffset = 8 + Number(bytes.readBigUInt64LE());
  const header = JSON.parse(bytes.subarray(8, dataOffset).toString()) as Record<
    string,
    { data_offsets?: number[] }
  >;
  const offsets = Object.values(header).flatMap(({ data_offsets: found }) => found ?? []);
  return [...new Set(offsets)].map((offset) => dataOffset + offset).sort((x, y) => x - y);
}

describe('a range of a weight file', () => {
  test('at and across the end of the header and every border of tensors', async () => {
    const bytes = weights();
    const last = bytes.byteLength - 1;
    const ranges = borders(bytes).flatMap((at) => [
      [at - 3, at + 3],
      [at - 1, at - 1],
      [at, at],
    ]);
    for (const [from, to] of [[0, 0], [0, 7], [last, last], [0, last], ...ranges]) {
      if (from! > last) continue;
      const end = Math.min(to!, last);
      const { status, headers, body } = await get(`bytes=${from}-${to}`);
      expect(status).toBe(206);
      expect(headers['content-range']).toBe(`bytes ${from}-${end}/${bytes.byteLength}`);
      expect(headers['content-length']).toBe(String(end - from! + 1));
      expect(body.equals(bytes.subarray(from, end + 1)), `${from}-${to}`).toBe(true);
    }
  });

  test('its end, an open end, and an end behind the file', async () => {
    const bytes = weights();
    const { byteLength } = bytes;
    const cases: [string, number][] = [
      ['bytes=-1', byteLength - 1],
      ['bytes=-5000', byteLength - 5000],
      [`bytes=-${byteLength + 5}`, 0],
      [`bytes=${byteLength - 9}-`, byteLength - 9],
      ['bytes=0-', 0],
      [`bytes=${byteLength - 4}-999999999999999`, byteLength - 4],
      [`Bytes = ${byteLength - 4} - `, byteLength - 4],
    ];
    for (const [range, from] of cases) {
      const { status, body, headers } = await get(range);
      expect([range, status]).toEqual([range, 206]);
      expect(headers['content-range']).toBe(`bytes ${from}-${byteLength - 1}/${byteLength}`);
      expect(body.equals(bytes.subarray(from))).toBe(true);
    }
  });

  test('any range of any file equals that slice of it', async () => {
    const files = [...models.now.models].flatMap(([model, version]) =>
      [...version.files].map(([path, bytes]) => ({ address: resolvePath(model, 'main', path), bytes })),
    );
    const some = files.filter(({ bytes }) => bytes.byteLength > 0);
    const file = fc.constantFrom(...some);
    await fc.assert(
      fc.asyncProperty(
        file,
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.nat(),
        async ({ address, bytes }, at, length) => {
          const from = Math.min(Math.floor(at * bytes.byteLength), bytes.byteLength - 1);
          const to = from + (length % (bytes.byteLength - from));
          const { status, body } = await get(`bytes=${from}-${to}`, address);
          return status === 206 && body.equals(bytes.subarray(from, to + 1));
        },
      ),
      { numRuns: 60 },
    );
  });
});

describe('refused with 416', () => {
  const cases = [
    ['behind the end', () => `bytes=${weights().byteLength}-`],
    ['reversed', () => 'bytes=9-3'],
    ['several', () => 'bytes=0-1,4-5'],
    ['no numbers', () => 'bytes=a-b'],
    ['negative', () => 'bytes=--5'],
    ['of hexadecimal digits', () => 'bytes=0x0-0x5'],
    ['nothing', () => 'bytes=-'],
    ['the last 0 bytes', () => 'bytes=-0'],
    ['of 10^15 and more', () => `bytes=${10 ** 15}-${10 ** 15 + 1}`],
    ['of a thousand digits', () => `bytes=${'9'.repeat(1000)}-`],
  ] as const;
  test.each(cases)('a range that is %s; the length of the file is told', async (_what, range) => {
    const { status, headers, body } = await get(range());
    expect(status).toBe(416);
    expect(headers['content-range']).toBe(`bytes */${weights().byteLength}`);
    expect(headers['content-type']).toContain('application/json');
    expect(JSON.parse(body.toString()).error).toContain('range');
  });
});

test('a range of another unit is none: the whole file is sent', async () => {
  const { status, headers } = await get('tensors=0-1');
  expect([status, headers['content-length']]).toEqual([200, `${weights().byteLength}`]);
});

describe('conditions', () => {
  test('If-Range with the ETag gives the range, with another one the whole file', async () => {
    const bytes = weights();
    const { etag } = (await served.now.ask(WEIGHTS, { method: 'HEAD' })).headers;
    const same = await get('bytes=3-9', WEIGHTS, { 'if-range': etag! });
    expect([same.status, same.body.byteLength]).toEqual([206, 7]);
    for (const other of ['"other"', `W/${etag}`, 'Wed, 21 Oct 2026 07:28:00 GMT']) {
      const whole = await get('bytes=3-9', WEIGHTS, { 'if-range': other });
      expect([whole.status, whole.body.equals(bytes)]).toEqual([200, true]);
    }
  });

  test('a file that the client has is 304 without a body, also of a range, of a list, or by *', async () => {
    const { etag } = (await served.now.ask(WEIGHTS, { method: 'HEAD' })).headers;
    for (const condition of [etag!, `"x", ${etag}`, `W/${etag}`, '*']) {
      const { status, body, headers } = await served.now.ask(WEIGHTS, {
        headers: { 'if-none-match': condition },
      });
      expect([status, body.byteLength, headers.etag]).toEqual([304, 0, etag]);
    }
    const { status } = await served.now.ask(WEIGHTS, {
      headers: { 'if-none-match': '"x"', range: 'bytes=0-0' },
    });
    expect(status).toBe(206);
  });

  test('a range of an empty file is the empty file, and its length is told', async () => {
    const path = resolvePath('chat', 'main', 'empty.txt');
    const ranged = await get('bytes=0-0', path);
    expect([ranged.status, ranged.headers['content-range'], ranged.body.byteLength]).toEqual([
      200,
      'bytes */0',
      0,
    ]);
    const { status, headers } = await served.now.ask(path);
    expect([status, headers['content-length'], headers['content-range']]).toEqual([200, '0', undefined]);
  });
});

test('parseRange gives ranges inside the file or none, whatever it is given', () => {
  const header = fc.oneof(
    fc.string().map((rest) => `bytes=${rest}`),
    fc.tuple(fc.maxSafeNat(), fc.maxSafeNat()).map(([from, to]) => `bytes=${from}-${to}`),
    fc.maxSafeNat().map((length) => `bytes=-${length}`),
  );
  fc.assert(
    fc.property(header, fc.maxSafeNat(), (text, byteLength) => {
      const range = parseRange(text, byteLength);
      if (range === undefined) return;
      const { start, end, isWhole } = range;
      expect([start >= 0, start < end, end <= byteLength, isWhole]).toEqual([true, true, true, false]);
    }),
  );
});

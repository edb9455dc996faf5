/** What S3 promises beside the suite, on a local server. */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { StoreBackend } from '../../../src/store/backend.js';
import { openS3Backend, parseS3Url, type S3Connection } from '../../../src/store/backends/s3.js';
import { collect } from '../../conformance/backend-fixture.js';
import { describeBackend } from '../../conformance/backend-suite.js';
import { describeWriting } from '../../conformance/backend-writing.js';
import { type S3Server, startS3Server } from '../../helpers/s3-server.js';

const bytes = (text: string) => new TextEncoder().encode(text);

let server: S3Server;
beforeAll(async () => {
  server = await startS3Server();
});
afterAll(() => server.close());
afterEach(() => {
  server.requests.length = 0;
  server.fault = () => undefined;
  server.heeds = { put: true, delete: true };
});

const suite = async () => {
  const connection = { ...(await server.createBucket()), pageLength: 50 };
  return { backend: await openS3Backend(connection), async remove() {} };
};
// s3rver adds to the names of its files.
describeBackend('s3', suite, { maxSegmentLength: 200, manyCount: 120, largeByteLength: 40 << 20 });

const withoutConditionalDeletes = async () => {
  server.heeds.delete = false;
  return suite();
};
describeWriting('s3 without conditional deletes', withoutConditionalDeletes, { largeByteLength: 1 << 20 });

async function open(change: Partial<S3Connection> = {}): Promise<StoreBackend> {
  return openS3Backend({ ...(await server.createBucket()), ...change });
}

describe('a store in S3', () => {
  it('is in its prefix, and another one beside it sees nothing of it', async () => {
    const bucket = await server.createBucket();
    const backends = await Promise.all(
      ['', 'a', 'a/b'].map((prefix) => openS3Backend({ ...bucket, prefix })),
    );
    for (const [i, backend] of backends.entries()) await backend.write('x', bytes(`${i}`));
    expect(backends.map(({ location }) => location)).toEqual(
      ['', '/a', '/a/b'].map((p) => `s3://${bucket.bucket}${p}`),
    );
    const keys = async (backend: StoreBackend) =>
      (await collect(backend.list(''))).map(({ key }) => key).sort();
    expect(await Promise.all(backends.map(keys))).toEqual([['a/b/x', 'a/x', 'x'], ['b/x', 'x'], ['x']]);
  });

  it('a bucket that is not there, and a wrong key, are errors that name it', async () => {
    const backend = await open({ bucket: 'nowhere' });
    const message = 's3://nowhere/models/store/a: there is no such bucket';
    await expect(backend.read('a')).rejects.toMatchObject({ code: 'ERE_NOT_FOUND', message });
    await expect(backend.write('a', bytes('x'))).rejects.toMatchObject({ code: 'ERE_NOT_FOUND', message });
    const credentials = { accessKeyId: 'S3RVER', secretAccessKey: 'wrong' };
    const error = await (await open({ credentials })).read('a').catch((thrown) => thrown);
    expect(error).toMatchObject({
      code: 'ERE_IO',
      message: expect.stringMatching(/SignatureDoesNotMatch.*HTTP 403/),
    });
    expect(error.message).not.toContain('wrong');
  });

  it('a server that does not answer is an IoError', async () => {
    const backend = await open({ endpoint: 'http://127.0.0.1:1', attempts: 1 });
    await expect(backend.read('a')).rejects.toMatchObject({
      code: 'ERE_IO',
      message: expect.stringContaining('ECONNREFUSED'),
    });
  });

  it('passing faults of the server are outlived', async () => {
    const backend = await open();
    await backend.write('a', bytes('x'));
    for (const operation of [
      () => backend.read('a'),
      () => backend.stat('a'),
      () => backend.write('a', bytes('x')),
    ]) {
      const faults = [503, 500];
      server.fault = () => faults.pop();
      await operation();
      expect(faults).toEqual([]);
    }
    server.fault = () => 503;
    await expect(backend.read('a')).rejects.toMatchObject({
      code: 'ERE_IO',
      message: expect.stringContaining('HTTP 503'),
    });
  });

  it('a small content is one request, a large one is sent in parts, and a part that fails ends the upload', async () => {
    const backend = await open();
    server.requests.length = 0;
    await backend.write('small', new Uint8Array(16 << 20));
    expect(server.requests.length).toBe(1);
    server.requests.length = 0;
    server.fault = (request) => (request.includes('partNumber=2') ? 403 : undefined);
    const writing = backend.write('large', new Uint8Array((32 << 20) + 1));
    await expect(writing).rejects.toMatchObject({
      code: 'ERE_IO',
      message: expect.stringMatching(/large: cannot write/),
    });
    expect(server.requests.at(-1)).toMatch(/^DELETE .*large\?uploadId=/);
    expect(await backend.stat('large')).toBeUndefined();
  });
});

describe('compareAndSwap in S3', () => {
  it('knows its own write again whose answer was lost', async () => {
    const backend = await open();
    let lost = 0;
    // First of what it asks to know the server.
    server.fault = (request) => (request.startsWith('PUT') && lost++ === 0 ? 'lost' : undefined);
    expect(await backend.compareAndSwap('r', undefined, bytes('1'))).toBe(true);
    lost = 0;
    expect(await backend.compareAndSwap('r', bytes('1'), bytes('2'))).toBe(true);
    expect(lost).toBe(2);
    expect(await backend.read('r')).toEqual(bytes('2'));
  });

  it('deletes what it removes, where deletes are conditional', async () => {
    const backend = await open();
    await backend.compareAndSwap('r', undefined, bytes('1'));
    server.requests.length = 0;
    await backend.compareAndSwap('r', bytes('1'), undefined);
    expect(server.requests.map((request) => request.split(' ')[0])).toEqual(['GET', 'DELETE']);
  });

  it('else leaves a tombstone, which no operation shows, and which goes as a leftover after a day', async () => {
    server.heeds.delete = false;
    const connection = await server.createBucket();
    const backend = await openS3Backend(connection);
    await backend.compareAndSwap('r', undefined, bytes('1'));
    await backend.compareAndSwap('r', bytes('1'), undefined);
    await backend.write('like-one', new Uint8Array(45));
    expect((await collect(backend.list(''))).map(({ key }) => key)).toEqual(['like-one']);
    await expect(backend.open('r')).rejects.toMatchObject({ code: 'ERE_NOT_FOUND' });
    await expect(backend.read('r')).rejects.toMatchObject({ code: 'ERE_NOT_FOUND' });
    await backend.write('r', bytes('2'));
    expect(await backend.read('r')).toEqual(bytes('2'));
    await backend.compareAndSwap('r', bytes('2'), undefined);
    expect(await backend.removeLeftovers()).toBe(0);
    for (const key of ['r', 'like-one']) await server.age(connection, key);
    expect(await backend.removeLeftovers()).toBe(45);
    server.requests.length = 0;
    expect((await collect(backend.list(''))).map(({ key }) => key)).toEqual(['like-one']);
    expect(server.requests.length).toBe(2);
    expect(await backend.compareAndSwap('r', undefined, bytes('3'))).toBe(true);
  });

  it('refuses a server that does not heed conditions, where every writer would win', async () => {
    server.heeds = { put: false, delete: false };
    const backend = await open();
    for (let i = 0; i < 2; i++) {
      await expect(backend.compareAndSwap('r', undefined, bytes('1'))).rejects.toMatchObject({
        code: 'ERE_UNSUPPORTED',
        message: expect.stringContaining('does not heed If-None-Match and If-Match'),
      });
    }
    expect(await backend.stat('r')).toBeUndefined();
  });
});

describe('parseS3Url', () => {
  it('takes bucket, prefix and parameters apart', () => {
    expect(parseS3Url('s3://my-bucket')).toEqual({ bucket: 'my-bucket', prefix: '' });
    expect(parseS3Url('S3://b.c/a/B c/?region=eu-west-1')).toEqual({
      bucket: 'b.c',
      prefix: 'a/B c',
      region: 'eu-west-1',
    });
    const url = 's3://bucket/p?endpoint=https://minio.example:9000&path-style=false';
    const endpoint = 'https://minio.example:9000';
    expect(parseS3Url(url)).toEqual({ bucket: 'bucket', prefix: 'p', endpoint, pathStyle: false });
  });

  it('refuses what would be taken for something else, and repeats no secret', () => {
    for (const url of [
      's3:bucket',
      's3://',
      's3://a b/',
      's3://x/a//b',
      's3://x/../y',
      's3://bucket/p#x',
      's3://bucket?secret=1',
      's3://bucket?path-style=yes',
      's3://bucket?endpoint=host:9000',
      's3://bucket?endpoint=ftp://host',
    ]) {
      expect(() => parseS3Url(url), url).toThrow(RangeError);
    }
    for (const url of ['s3://key:hidden@bucket/p', 's3://bucket?endpoint=https://key:hidden@host']) {
      expect(() => parseS3Url(url)).toThrow(/^(?!.*hidden).*credentials/);
    }
  });
});

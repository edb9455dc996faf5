import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { downloadRange, hubSource, statHubFile } from '../../src/hub/hub-file.js';
import type { HubAccess } from '../../src/hub/request.js';
import { hubSettings } from '../../src/hub/settings.js';
import { type HubDouble, startHubDouble, TOKEN } from '../helpers/hub-double.js';
import { gitHash, sha256 } from '../helpers/hub-repos.js';
import { randomBytes } from '../kernels/samples.js';

const REPO = 'org/model';
const WEIGHTS = randomBytes(50_000, 1);
const CONFIG = new TextEncoder().encode('{"layers":2}');

let hub: HubDouble;
let commit: string;
let access: HubAccess;

beforeEach(async () => {
  hub = await startHubDouble();
  commit = hub.addFiles(REPO, { 'a b/#1.safetensors': WEIGHTS, 'config.json': CONFIG });
  access = await withFetch();
});

afterEach(async () => {
  expect(hub.violations).toEqual([]);
  await hub.close();
});

async function withFetch(fetch?: typeof globalThis.fetch): Promise<HubAccess> {
  const settings = await hubSettings({
    hubUrl: hub.url,
    token: TOKEN,
    environment: { HF_HOME: '/nowhere' },
    retries: { attempts: 3, pauseMs: 1 },
    ...(fetch && { fetch }),
  });
  return { ...settings, signal: undefined };
}

const weights = () => statHubFile(access, REPO, commit, 'a b/#1.safetensors');

/** An answer whose headers a test gives, to any request. */
const answering = (status: number, headers: Record<string, string>, body: BodyInit | null = null) =>
  withFetch(async () => new Response(body, { status, headers }));

describe('statHubFile', () => {
  test('tells length and hash of LFS objects and of files of git, also behind a relative redirect', async () => {
    expect(await weights()).toMatchObject({ byteLength: 50_000, etag: sha256(WEIGHTS) });
    const expected = { byteLength: CONFIG.byteLength, etag: gitHash(CONFIG) };
    expect(await statHubFile(access, REPO, commit, 'config.json')).toMatchObject(expected);
    hub.redirects = true;
    expect(await statHubFile(access, REPO, commit, 'config.json')).toMatchObject(expected);
  });

  test('a file that is not there is a HubError with status 404', async () => {
    await expect(statHubFile(access, REPO, commit, 'x')).rejects.toMatchObject({
      code: 'ERE_HUB',
      statusCode: 404,
    });
  });

  test.each([
    ['no ETag', 200, { 'content-length': '5' }],
    ['an ETag that is a path', 200, { 'content-length': '5', etag: '"../../x"' }],
    ['dots as ETag', 200, { 'content-length': '5', etag: '".."' }],
    ['no length', 200, { etag: '"a"' }],
    ['a negative length', 200, { etag: '"a"', 'content-length': '-5' }],
    ['another commit', 200, { etag: '"a"', 'content-length': '5', 'x-repo-commit': 'f'.repeat(40) }],
    ['a redirect to another host that tells nothing', 302, { location: 'https://elsewhere.test/x' }],
    ['a redirect to itself', 307, { location: '?again' }],
  ])('%s is an error', async (_, status, headers) => {
    const strange = await answering(status, headers as Record<string, string>);
    await expect(statHubFile(strange, REPO, commit, 'x')).rejects.toMatchObject({ code: 'ERE_HUB' });
  });
});

describe('hubSource', () => {
  test('reads ranges, each in one request of the Hub and one of storage, the token for the Hub alone', async () => {
    const source = hubSource(access, await weights());
    hub.requests.length = 0;
    expect(await source.read(1000, 500)).toEqual(WEIGHTS.subarray(1000, 1500));
    expect(hub.requests).toHaveLength(2);
    expect(await source.read(49_999, 1)).toEqual(WEIGHTS.subarray(49_999));
    expect(await source.read(7, 0)).toEqual(new Uint8Array(0));
    await expect(source.read(49_999, 2)).rejects.toThrow(RangeError);
  });

  test('takes its part of an answer that is everything', async () => {
    hub.ranges = false;
    expect(await hubSource(access, await weights()).read(20_000, 100)).toEqual(
      WEIGHTS.subarray(20_000, 20_100),
    );
  });

  test.each([
    ['another range', 206, { 'content-range': 'bytes 0-9/50000' }],
    ['a range of another length', 206, { 'content-range': 'bytes 10-19/60000' }],
    ['no range', 206, {}],
    ['everything of another length', 200, { 'content-length': '10' }],
    ['nothing', 204, {}],
  ])('%s is an error', async (_, status, headers) => {
    const file = await weights();
    const strange = await answering(
      status,
      headers as Record<string, string>,
      status === 204 ? null : '0123456789',
    );
    await expect(hubSource(strange, file).read(10, 10)).rejects.toMatchObject({ code: 'ERE_HUB' });
  });
});

test('a download that is cut again and again goes on each time, and ends in the right bytes', async () => {
  hub.faults.push({ on: /^GET storage/, fault: 'cut', times: 8 });
  const file = await weights();
  const pieces: Uint8Array[] = [];
  await downloadRange(access, file, { offset: 0, end: file.byteLength }, async (piece) => {
    pieces.push(piece.slice());
  });
  expect(sha256(Buffer.concat(pieces))).toBe(file.etag);
  expect(hub.faultCount()).toBe(8);
});

test('a pause that an abort ends is ERE_ABORTED', async () => {
  hub.faults.push({ on: /./, fault: { status: 429, headers: { 'retry-after': '50' } }, times: 99 });
  const controller = new AbortController();
  setTimeout(() => controller.abort(), 20);
  const aborted = statHubFile({ ...access, signal: controller.signal }, REPO, commit, 'config.json');
  await expect(aborted).rejects.toMatchObject({ code: 'ERE_ABORTED' });
});

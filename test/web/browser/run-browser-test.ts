/**
 * `npm run test:browser`: the demo page in headless Chromium, with workers and without, must rebuild the bytes that
 * decode writes in Node, and run them. Without an installed Chromium it says so and passes. CHROMIUM names another one;
 * with `--screenshot FILE` the finished page is kept as a picture.
 */
import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { parseArgs } from 'node:util';
import { type Browser, chromium } from 'playwright-core';
import { decode } from '../../../src/index.js';
import { digestOf } from '../../helpers/archive-builder.js';
import { tinylm } from '../../helpers/tinylm.js';
import { type ServedPage, withPage } from './serve-page.js';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable'];
const TIMEOUT_MS = 120_000;

/** What the page found. */
interface Demo {
  readonly digest: string;
  readonly durationMs: number;
  readonly baseBits: number;
  readonly fineTunedBits: number;
}

function findChromium(): string | undefined {
  const named = process.env.CHROMIUM;
  if (named !== undefined) return named;
  const folders = (process.env.PATH ?? '').split(delimiter);
  return folders.flatMap((folder) => NAMES.map((name) => join(folder, name))).find(existsSync);
}

/** Opens the page, and waits for its results. @param query of its URL */
async function runPage(
  browser: Browser,
  url: string,
  query: string,
  screenshot?: string,
): Promise<Demo & { readonly workerCount: number }> {
  const page = await browser.newPage({ viewport: { width: 900, height: 900 } });
  const problems: string[] = [];
  let workerCount = 0;
  page.on('pageerror', (error) => problems.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error' && !message.location().url.endsWith('/favicon.ico'))
      problems.push(message.text());
  });
  page.on('worker', () => workerCount++);
  page.setDefaultTimeout(TIMEOUT_MS);
  try {
    await page.goto(`${url}/index.html${query}`);
    await page.waitForFunction(() => 'demo' in globalThis);
    const demo = await page.evaluate(() => (globalThis as unknown as { demo: Promise<Demo> }).demo);
    if (screenshot !== undefined) await page.screenshot({ path: screenshot });
    assert.deepEqual(problems, []);
    assert.equal(await page.textContent('#status'), 'Done.');
    return { ...demo, workerCount };
  } finally {
    await page.close();
  }
}

async function testPage({ server, folder }: ServedPage, executablePath: string, screenshot?: string) {
  const output = join(folder, 'node.safetensors');
  await decode(join(folder, 'archive.ere'), { base: tinylm('base'), output });
  const expected = digestOf(await readFile(output)).slice('sha256:'.length);
  const browser = await chromium.launch({ executablePath });
  try {
    console.log(`Chromium ${browser.version()}`);
    for (const [query, workers] of [
      ['?threads=0', 0],
      ['?threads=2', 2],
    ] as const) {
      server.requests.length = 0;
      const demo = await runPage(browser, server.url, query, workers === 2 ? screenshot : undefined);
      const { digest, durationMs, baseBits, fineTunedBits, workerCount } = demo;
      assert.equal(digest, expected, `${query}: the digest of what the page rebuilt`);
      assert.equal(workerCount, workers, `${query}: workers`);
      assert.ok(fineTunedBits < baseBits - 0.5, `${query}: ${fineTunedBits} bits per byte, base ${baseBits}`);
      const ranges = server.requests.filter((request) => request.includes('bytes='));
      assert.ok(ranges.some((request) => request.startsWith('GET /archive.ere')));
      console.log(
        `${workers} workers: the digest of Node, ${digest.slice(0, 12)}…, in ${Math.round(durationMs)} ms and ` +
          `${ranges.length} range requests; ${baseBits.toFixed(3)} → ${fineTunedBits.toFixed(3)} bits per byte`,
      );
    }
  } finally {
    await browser.close();
  }
}

const { values } = parseArgs({ options: { screenshot: { type: 'string' } } });
const path = findChromium();
if (path === undefined) {
  console.log(`skipped: found none of ${NAMES.join(', ')} in PATH; install one, or name it by CHROMIUM`);
} else {
  await withPage((page) => testPage(page, path, values.screenshot));
}

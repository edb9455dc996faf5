/** What the README tells people to type works as it is written there. */
import { existsSync, readFileSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { runDemo } from '../demo/run-demo.js';
import { createWorkspace, PROJECT_ROOT, spawnEre, spawnNode, type Workspace } from '../helpers/project.js';

const README = readFileSync(join(PROJECT_ROOT, 'README.md'), 'utf8');

/** The first code block under a heading. */
function codeBlock(heading: string): string {
  const block = new RegExp(`^## ${heading}\\n[^]*?\`\`\`\\w*\\n([^]*?)\`\`\``, 'm').exec(README);
  expect(block, `a code block under "${heading}"`).not.toBeNull();
  return block![1]!;
}

let workspace: Workspace;
beforeEach(async () => {
  workspace = await createWorkspace();
});
afterEach(() => workspace.remove());

test('the library example encodes and decodes', async () => {
  const { folder } = workspace;
  await writeFile(join(folder, 'example.mjs'), codeBlock('Library'));
  const { status, stdout, stderr } = await spawnNode(folder, 'example.mjs');
  expect([status, stderr]).toEqual([0, '']);
  expect(stdout).toMatch(/^[56]\.\d % of the bytes, relative error 0\.\d\d\n$/);
  expect(existsSync(join(folder, 'rebuilt', 'model.safetensors'))).toBe(true);
});

test('the lines of the command line work one after the other', async () => {
  const { folder } = workspace;
  const lines = codeBlock('Command line').trim().split('\n');
  expect(lines).toHaveLength(4);
  for (const line of lines) {
    const [program, ...argv] = line.split(' ');
    expect(program).toBe('ere');
    const { status, stdout } = await spawnEre(folder, ...argv);
    expect(status, line).toBe(0);
    expect(stdout).not.toBe('');
  }
  expect(existsSync(join(folder, 'rebuilt', 'config.json'))).toBe(true);
});

test('the table in the README is what the demo prints', async () => {
  const printedText = await runDemo(workspace.folder, { sequenceCount: 2 }); // the digits need all sequences, the table does not
  // Names and columns; encoders on other machines may differ in the last digits.
  const table = (text: string) => text.trim().split('\n').slice(0, 4);
  const published = table(/<!-- demo -->\n```\n([\s\S]*?)```/.exec(README)![1]!);
  const printed = table(printedText);
  expect(printed[0]).toBe(published[0]);
  expect(printed.map((line) => line.split(/ {2,}/)[0])).toEqual(
    published.map((line) => line.split(/ {2,}/)[0]),
  );
  expect(printedText).toContain('match the archive');
});

test('exactly two set-up commands, which are scripts of the package', () => {
  const scripts = JSON.parse(readFileSync(join(PROJECT_ROOT, 'package.json'), 'utf8')).scripts;
  expect(codeBlock('Try it').trim().split('\n')).toEqual(['npm ci && npm run demo', 'npm ci && npm test']);
  expect(scripts).toMatchObject({ demo: expect.any(String), test: expect.any(String) });
});

test('every file that the README links to exists', () => {
  const links = [...README.matchAll(/\]\((?!https?:)([^)#]+)/g)].map((match) => match[1]!);
  expect(links.length).toBeGreaterThan(5);
  expect(links.filter((path) => !existsSync(join(PROJECT_ROOT, path)))).toEqual([]);
});

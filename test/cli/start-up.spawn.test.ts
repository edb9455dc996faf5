/** What a start loads decides how long it takes: every command loads its own part of the library and no more. */
import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { COMMANDS } from '../../cli/commands.js';
import { loadOperations } from '../../cli/context.js';
import { initStore } from '../../src/store/open-store.js';
import { BIN, PROJECT_ROOT } from '../helpers/project.js';
import { writeSevenBillionArchive } from '../helpers/seven-billion-archive.js';
import { withTempFolder } from '../helpers/temp-folder.js';
import { capturedStream } from './doubles.js';

const DIST = join(PROJECT_ROOT, 'dist');

/** What `ere` prints, and the modules that it loads: paths in dist/, and those of packages behind their name. */
async function runListingModules(...argv: string[]): Promise<{ stdout: string; modules: string[] }> {
  return withTempFolder(async (folder) => {
    // V8 lists the scripts of every thread when it ends.
    const env = { ...process.env, NODE_V8_COVERAGE: folder };
    const { stdout } = await promisify(execFile)(process.execPath, [BIN, ...argv], { env });
    const modules = new Set<string>();
    for (const name of await readdir(folder)) {
      const { result } = JSON.parse(await readFile(join(folder, name), 'utf8')) as {
        readonly result: readonly { readonly url: string }[];
      };
      for (const { url } of result.filter(({ url }) => url.startsWith('file:'))) {
        const path = fileURLToPath(url);
        const [, inPackage] = /.*[/\\]node_modules[/\\](.*)/s.exec(path) ?? [];
        modules.add((inPackage ?? relative(DIST, path)).replaceAll('\\', '/'));
      }
    }
    return { stdout, modules: [...modules].sort() };
  });
}

const ofPackages = (modules: readonly string[]) =>
  modules.filter((name) => !/^(cli|src|formats)\//.test(name));

describe('what is loaded', () => {
  test('--help loads commander and the frame of the command line: no command, nothing of the library', async () => {
    const { stdout, modules } = await runListingModules('--help');
    expect(stdout).toContain('inspect <archive>');
    expect(modules).toContain('cli/bin.js');
    expect(modules.filter((name) => name.startsWith('cli/commands/'))).toEqual([]);
    expect(modules.filter((name) => /^(src|formats)\//.test(name))).toEqual([
      'formats/errors.js',
      'src/report/printable.js',
      'src/version.js',
    ]);
    expect(ofPackages(modules).filter((name) => !name.startsWith('commander/'))).toEqual([]);
    expect(modules.length).toBeLessThanOrEqual(24);
  });

  test('inspect on the index of a 7 B model loads the reader: no kernel, codec, algebra, worker or package', async () => {
    await withTempFolder(async (folder) => {
      const archive = join(folder, 'large.ere');
      await writeSevenBillionArchive(archive, { exactOnTop: true });
      const { stdout, modules } = await runListingModules('inspect', archive);
      expect(stdout).toContain('lm_head.weight');
      expect(modules).toContain('formats/ere/parse-index.js');
      const foreign = /^src\/(kernels|codecs|linalg|allocation|rate-distortion|export|evaluate)\//;
      expect(modules.filter((name) => foreign.test(name))).toEqual([]);
      expect(modules.filter((name) => /worker|encode|decode|^src\/index/.test(name))).toEqual([]);
      expect(ofPackages(modules).filter((name) => !name.startsWith('commander/'))).toEqual([]);
      expect(modules.length).toBeLessThanOrEqual(60);
    });
  });

  test.each(['log', 'log --graph', 'stats', 'base list'])(
    '%s of a store loads no encoder, decoder, kernel or worker',
    async (command) => {
      await withTempFolder(async (folder) => {
        const location = join(folder, 'store');
        await (await initStore(location)).close();
        const { modules } = await runListingModules(...command.split(' '), '--store', location);
        expect(modules).toContain('src/store/open-store.js');
        const foreign =
          /^src\/(kernels|codecs|linalg\/(?!devices)|allocation|rate-distortion|export|evaluate|sketch)/;
        expect(modules.filter((name) => foreign.test(name))).toEqual([]);
        expect(modules.filter((name) => /worker|encode|decode(?!-cost)|^src\/index/.test(name))).toEqual([]);
        expect(ofPackages(modules).filter((name) => !name.startsWith('commander/'))).toEqual([]);
        expect(modules.length).toBeLessThanOrEqual(80);
      });
    },
  );

  test.each(COMMANDS)('the help of $name loads no other command and no operation', async ({ name }) => {
    const { stdout, modules } = await runListingModules(name, '--help');
    expect(stdout).toContain(`Usage: ere ${name} `);
    const commands = new Set(COMMANDS.map((entry) => `cli/commands/${entry.name}.js`));
    expect(modules.filter((module) => commands.has(module))).toEqual([`cli/commands/${name}.js`]);
    // Values of options need to know of devices, threads and memory.
    const operations = /^src\/(io\/(?!default-threads|free-memory)|kernels\/|codecs\/|linalg\/(?!devices))/;
    expect(modules.filter((module) => operations.test(module))).toEqual([]);
  });
});

test.each(COMMANDS)('the list of commands says of $name what the command itself says', async (entry) => {
  const stream = capturedStream();
  const { signal } = new AbortController();
  const program = new Command('ere');
  (await entry.load())(program, {
    stdout: stream,
    stderr: stream,
    signal,
    environment: {},
    loadOperations,
  });
  const [command] = program.commands;
  expect([command!.name(), command!.usage(), command!.summary()]).toEqual([
    entry.name,
    `[options] ${entry.operands}`.trimEnd(),
    entry.summary,
  ]);
});

/** The commands of the store: which store they open, what they ask of it, and what they print. */
import { describe, expect, test } from 'vitest';
import { ConflictError, NotFoundError } from '../../formats/errors.js';
import type {
  BaseSummary,
  CommitOptions,
  FsckReport,
  RefEntry,
  StoreEvent,
  StoreOptions,
} from '../../src/store/api.js';
import { capturedStream, runWith } from './doubles.js';
import { commitReport, fakeStore, logEntry, runWithStore, showReport, versionId } from './store-doubles.js';

/** Records what an operation is called with. */
function recorder<Result>(result: Result) {
  const calls: unknown[][] = [];
  const operation = async (...args: unknown[]) => {
    calls.push(args);
    return result;
  };
  return { calls, operation };
}

describe('which store', () => {
  const stats = async () => ({
    versionCount: 12,
    modelCount: 2,
    tagCount: 1,
    baseCount: 1,
    representedByteLength: 118_000_000,
    storedByteLength: 9_900_000,
    ratio: 9.9 / 118,
    objectCount: 340,
    tensorCount: 684,
    storedTensorCount: 300,
  });

  test('--store, else $ERE_STORE, else the nearest folder; closed in the end', async () => {
    const environment = { ERE_STORE: 's3://bucket/models' };
    expect(await runWithStore(['stats'], { stats })).toMatchObject({
      opened: ['/work/.ere-store'],
      closed: 1,
    });
    expect((await runWithStore(['stats'], { stats }, { environment })).opened).toEqual([
      's3://bucket/models',
    ]);
    const argv = ['stats', '--store', '/data/store'];
    expect((await runWithStore(argv, { stats }, { environment })).opened).toEqual(['/data/store']);
    const empty = { environment: { ERE_STORE: '' } };
    expect((await runWithStore(['stats'], { stats }, empty)).opened).toEqual(['/work/.ere-store']);
  });

  test('outside of any store, an error says how to make or name one', async () => {
    const { status, stderr } = await runWith(['log']);
    expect(status).toBe(10);
    expect(stderr).toContain('ere init');
    expect(stderr).toContain('$ERE_STORE');
  });

  test('a location that is none is a usage error', async () => {
    const malformed = async () => {
      throw new RangeError('expected a folder, s3://, http:// or https://, got ftp://');
    };
    const argv = ['--store', 'ftp://host/x'];
    const opened = await runWithStore(['log', ...argv], {}, {}, { openStore: malformed });
    const made = await runWith(['init', ...argv], { initStore: malformed });
    for (const { status, stderr } of [opened, made]) {
      expect(status).toBe(2);
      expect(stderr).toContain('Expected a folder, s3://, http:// or https://, got ftp://');
    }
  });

  test('it is closed after an error too, and the error has its status', async () => {
    const failing = async () => {
      throw new NotFoundError('no version "x"');
    };
    const { status, stderr, closed } = await runWithStore(['show', 'x', '--json'], { show: failing });
    expect([status, closed]).toEqual([10, 1]);
    expect(JSON.parse(stderr)).toEqual({ code: 'ERE_NOT_FOUND', message: 'no version "x"' });
  });

  test('stats: bytes stored against bytes represented', async () => {
    expect((await runWithStore(['stats'], { stats })).stdout).toBe(
      [
        '/work/.ere-store',
        '  versions     12',
        '  models       2',
        '  tags         1',
        '  bases        1',
        '  tensors      684, of which 300 are stored',
        '  represented  118 MB',
        '  stored       9.90 MB in 340 objects (8.4 %)',
        '',
      ].join('\n'),
    );
  });
});

describe('ere init', () => {
  const made = async (argv: string[], environment = {}) => {
    const locations: string[] = [];
    const initStore = async (location: string) => {
      locations.push(location);
      return fakeStore(location, {});
    };
    return { ...(await runWith(['init', ...argv], { initStore }, { environment })), locations };
  };

  test('makes .ere-store here, or what is named', async () => {
    expect(await made([])).toMatchObject({
      locations: ['.ere-store'],
      stdout: 'made an empty store: .ere-store\n',
    });
    expect((await made(['models'])).locations).toEqual(['models']);
    expect((await made(['--store', 'models'])).locations).toEqual(['models']);
    expect((await made([], { ERE_STORE: 'central' })).locations).toEqual(['central']);
    expect(JSON.parse((await made(['models', '--json'])).stdout)).toEqual({ location: 'models' });
    expect((await made(['--quiet'])).stdout).toBe('');
  });

  test('a store named twice is a usage error; one that exists is a conflict', async () => {
    expect(await made(['models', '--store', 'others'])).toMatchObject({ status: 2, locations: [] });
    const initStore = async () => {
      throw new ConflictError('models: exists already');
    };
    expect((await runWith(['init', 'models'], { initStore })).status).toBe(11);
  });
});

describe('ere base', () => {
  const base: BaseSummary = {
    name: 'llama',
    id: versionId(0xba5e),
    digest: versionId(1),
    tensorCount: 57,
    byteLength: 9_909_200,
    locations: ['/models/llama'],
    isKept: false,
  };

  test('add passes its options on, and says where the base is needed', async () => {
    const { calls, operation } = recorder(base);
    const flags = ['--keep', '--revision', 'main', '--threads', '2', '--memory', '1GiB'];
    const { stdout } = await runWithStore(['base', 'add', 'llama', 'models/llama', ...flags], {
      addBase: operation,
    });
    expect(calls[0]!.slice(0, 2)).toEqual(['llama', 'models/llama']);
    expect(calls[0]![2]).toMatchObject({ keep: true, revision: 'main', threads: 2, memoryCap: 2 ** 30 });
    expect(stdout).toBe('base llama: 57 tensors, 9.91 MB; not kept: needed where it is, /models/llama\n');
  });

  test('list is a table; an empty one says so on stderr', async () => {
    expect((await runWithStore(['base', 'list'], { bases: async () => [base] })).stdout).toBe(
      'base   version   tensors     size  kept  last seen at\n' +
        'llama  ba5e5e5e       57  9.91 MB  no    /models/llama\n',
    );
    const { status, stdout, stderr } = await runWithStore(['base', 'list'], { bases: async () => [] });
    expect([status, stdout]).toEqual([0, '']);
    expect(stderr).toContain('no bases yet');
  });
});

describe('ere commit', () => {
  const optionsOf = async (...flags: string[]) => {
    const { calls, operation } = recorder(commitReport());
    const { status, stderr } = await runWithStore(['commit', 'tuned', '-m', 'x', ...flags], {
      commit: operation,
    });
    expect([status, stderr]).toEqual([0, '']);
    expect(calls[0]![0]).toBe('tuned');
    return calls[0]![1] as CommitOptions;
  };

  test('without options, the store decides: coded like the parent', async () => {
    const { signal, onEvent, ...options } = await optionsOf();
    expect(options).toEqual({ message: 'x', sideFiles: true });
    expect(signal).toBeInstanceOf(AbortSignal);
    expect(onEvent).toBeInstanceOf(Function);
  });

  test('every option reaches the store under its name', async () => {
    const flags =
      '--model chat --parent v1 --base llama --base-path /m --against base --max-decode-cost 1.5 --no-side-files';
    expect(await optionsOf(...flags.split(' '))).toMatchObject({
      model: 'chat',
      parent: 'v1',
      base: 'llama',
      basePath: '/m',
      against: 'base',
      maxDecodeCost: 1.5,
      sideFiles: false,
    });
    expect((await optionsOf('--no-parent')).parent).toBeNull();
  });

  test('tensors are coded as encode would with the same options', async () => {
    expect(await optionsOf('--ratio', '6%', '--effort', 'max')).toMatchObject({
      budget: { kind: 'ratio', ratio: 0.06 },
      effort: 'max',
    });
    expect(await optionsOf('--lossless')).toMatchObject({ lossless: true });
    const lora = await optionsOf('--preset', 'lora', '--rank', '8', '--fail-above', '0.5', '--force');
    expect(lora).toMatchObject({
      preset: 'lora',
      budget: { kind: 'rank', rank: 8 },
      failAbove: 0.5,
      force: true,
    });
  });

  test.each([
    [[], '--message'],
    [['-m', 'x', '--ratio', '6%', '--size', '1MB'], '--size'],
    [['-m', 'x', '--lossless', '--ratio', '6%'], '--lossless'],
    [['-m', 'x', '--preset', 'bitdelta', '--bits', '4'], 'no bits'],
    [['-m', 'x', '--max-decode-cost', '0.5'], 'number of at least 1'],
  ])('%j is a usage error', async (flags, message) => {
    const { status, stderr, opened } = await runWithStore(['commit', 'tuned', ...flags]);
    expect([status, opened]).toEqual([2, []]);
    expect(stderr).toContain(message);
  });

  test('says what it took, what it is coded against, and what else could have been', async () => {
    const { stdout } = await runWithStore(['commit', 'tuned', '-m', 'x'], {
      commit: async () => commitReport(),
    });
    expect(stdout).toBe(
      [
        'chat 3f2a5e5e: 284 kB, 2.9 % of 9.91 MB; bit-exact',
        'parent 81b05e5e, coded against it, base llama, decode cost 1.25',
        'reference         expected size  decode cost',
        'version 9c1d5e5e          2.6 %         2.50  over the limit of decode cost',
        'version 81b05e5e          2.8 %         1.25  taken',
        'base llama                4.1 %         1.00',
        '57 tensors, 12 of them shared with others; 4.2 s',
        '',
      ].join('\n'),
    );
  });

  test('of many candidates it lists the smallest, and the one that was taken', async () => {
    const others = Array.from({ length: 9 }, (_, i) => ({
      reference: versionId(0x1000 + i).slice(7, 19),
      expectedRatio: 0.01 + i / 1000,
      decodeCost: 3,
      isWithinLimit: false,
    }));
    const commit = async () => commitReport({ candidates: [...commitReport().candidates, ...others] });
    const { stdout } = await runWithStore(['commit', 'tuned', '-m', 'x'], { commit });
    expect(stdout.match(/over the limit/g)).toHaveLength(4);
    expect(stdout).toContain('version 10005e5e          1.0 %');
    expect(stdout).toMatch(/version 81b05e5e .*taken\n… and 7 more\n57 tensors/);
  });

  test('--quiet is one line that states the loss, --json the report', async () => {
    const { names: _, ...version } = logEntry({ relativeError: 0.6 });
    const commit = async () => commitReport({ version });
    expect((await runWithStore(['commit', 'tuned', '-m', 'x', '--quiet'], { commit })).stdout).toBe(
      'chat 3f2a5e5e: 284 kB, 2.9 % of 9.91 MB; relative error 0.600, kept energy 64.0 %\n',
    );
    const { stdout, stderr } = await runWithStore(['commit', 'tuned', '-m', 'x', '--json'], { commit });
    expect([JSON.parse(stdout), stderr]).toEqual([commitReport({ version }), '']);
  });
});

describe('events', () => {
  const events: StoreEvent[] = [
    { kind: 'waiting', reason: 'process 71 commits to model "chat"' },
    {
      kind: 'base-found',
      base: 'llama',
      because: '57 of 57 tensors have its shapes, 54 are near its values',
    },
    { kind: 'warning', message: 'onnxruntime-node is missing' },
  ];
  const commit = async (_: string, { onEvent }: CommitOptions) => {
    for (const event of events) onEvent!(event);
    return commitReport({ warnings: ['onnxruntime-node is missing', 'another'] });
  };
  const stderrOf = async (...flags: string[]) =>
    (await runWithStore(['commit', 'tuned', '-m', 'x', ...flags], { commit })).stderr;

  test('are a line each on stderr, and a warning is said once', async () => {
    expect(await stderrOf()).toBe(
      [
        'waiting: process 71 commits to model "chat"',
        'base llama: 57 of 57 tensors have its shapes, 54 are near its values',
        'warning: onnxruntime-node is missing',
        'warning: another',
        '',
      ].join('\n'),
    );
  });

  test('--quiet leaves warnings, --json nothing', async () => {
    expect(await stderrOf('--quiet')).toBe('warning: onnxruntime-node is missing\nwarning: another\n');
    expect(await stderrOf('--json')).toBe('');
  });

  test('progress goes to a terminal, is erased before a note and before the result', async () => {
    const stderr = capturedStream({ isTTY: true });
    const progress = { phase: 'encode', doneByteLength: 1, totalByteLength: 2, tensor: 'w' } as const;
    const slow = async (_: string, { onEvent }: CommitOptions) => {
      onEvent!({ kind: 'progress', progress });
      onEvent!(events[0]!);
      onEvent!({ kind: 'progress', progress: { ...progress, phase: 'verify' } });
      return commitReport();
    };
    await runWithStore(['commit', 'tuned', '-m', 'x'], { commit: slow }, { stderr });
    const erase = '\r\u001b[K';
    expect(stderr.text.split(erase)).toEqual([
      '',
      'encode [##########----------]   50 %  w',
      'waiting: process 71 commits to model "chat"\n',
      'verify [##########----------]   50 %  w',
      '',
    ]);
  });
});

test('an interruption says that the store is sound, and is reported as such', async () => {
  const controller = new AbortController();
  const gc = async ({ signal }: StoreOptions = {}) => {
    controller.abort('SIGINT');
    signal!.throwIfAborted();
    throw new Error('not aborted');
  };
  const { status, stderr, closed } = await runWithStore(['gc'], { gc }, { signal: controller.signal });
  expect([status, closed]).toEqual([130, 1]);
  expect(stderr).toBe('error: interrupted; the store is sound, and `ere gc` removes what was left in it\n');
});

describe('ere show', () => {
  test('where a version comes from, groups of tensors, and files', async () => {
    const { stdout } = await runWithStore(['show', 'chat'], { show: async () => showReport() });
    expect(stdout).toBe(
      [
        'chat 3f2a5e5e',
        '  message        step 100',
        '                 lr 2e-5, seed 7',
        '                 2 epochs',
        '  names          chat, v1.0',
        `  id             ${versionId(0x3f2a)}`,
        '  time           2026-11-22 02:10 UTC',
        '  parent         81b05e5e',
        '  base           llama (ba5e5e5e)',
        '  coded against  version 81b05e5e',
        '  decode cost    1.25',
        '  added          284 kB, 2.9 % of 9.91 MB',
        '  loss           bit-exact',
        '  coded with     lossless true',
        '  codecs         interval',
        `  digest         sha256:${'d'.repeat(64)}`,
        '',
        'tensor                             count  shape    steps    bytes  error',
        'model.layers.*.mlp.up_proj.weight      2  704×256    1–2  20.0 kB  exact',
        'model.norm.weight                      1  256          0        –  exact',
        '',
        'side files (1): config.json (565 B)',
        '3 tensors',
        '',
      ].join('\n'),
    );
  });

  test('a kept base has neither parent nor reference', async () => {
    const version = logEntry({
      kind: 'base',
      model: 'llama',
      parents: [],
      base: undefined,
      reference: undefined,
    });
    const { stdout } = await runWithStore(['show', 'base:llama', '--all'], {
      show: async () => showReport({ version }),
    });
    expect(stdout).not.toMatch(/parent|coded against|decode cost/);
    expect(stdout).toMatch(/model\.layers\.1\..* exact {2}interval\n/);
  });
});

describe('ere checkout', () => {
  const { names: _, ...version } = logEntry();
  const report = {
    version,
    output: 'out',
    files: ['model.safetensors', 'config.json'],
    byteLength: 9_909_200,
    digest: version.digest,
    durationMs: 1200,
  };

  test('passes its options on, and says what was written and that it is verified', async () => {
    const { calls, operation } = recorder(report);
    const flags = ['--overwrite', '--base-path', '/m', '--no-side-files', '--kernels', 'scalar'];
    const { stdout } = await runWithStore(['checkout', 'chat~1', '-o', 'out', ...flags], {
      checkout: operation,
    });
    expect(calls[0]![0]).toBe('chat~1');
    expect(calls[0]![1]).toMatchObject({
      output: 'out',
      overwrite: true,
      basePath: '/m',
      sideFiles: false,
      kernels: 'scalar',
    });
    expect(stdout).toBe(
      'out: chat 3f2a5e5e, 57 tensors, 9.91 MB, 1.2 s\n' +
        'files (2): model.safetensors, config.json\n' +
        'bit-exact\n' +
        `every tensor has the digest that the store records; checkpoint ${version.digest}\n`,
    );
  });
});

describe('ere tag, branch and rm', () => {
  const refs: readonly RefEntry[] = [
    { kind: 'model', name: 'main', id: versionId(0xa1) },
    { kind: 'model', name: 'chat', id: versionId(0xb2) },
    { kind: 'tag', name: 'v1.0', id: versionId(0xc3) },
    { kind: 'base', name: 'llama', id: versionId(0xd4) },
  ];

  test('without arguments list their kind, by name', async () => {
    const operations = { refs: async () => refs };
    expect((await runWithStore(['branch'], operations)).stdout).toBe(
      'model  version\nchat   00b25e5e\nmain   00a15e5e\n',
    );
    expect((await runWithStore(['tag'], operations)).stdout).toBe('tag   version\nv1.0  00c35e5e\n');
    expect(JSON.parse((await runWithStore(['tag', '--json'], operations)).stdout)).toEqual([refs[2]]);
  });

  test('with both they set a ref; with one alone they are usage errors', async () => {
    const { calls, operation } = recorder(refs[2]!);
    const tagged = await runWithStore(['tag', 'v1.0', 'chat', '--force'], { tag: operation });
    expect([calls[0]!.slice(0, 2), tagged.stdout]).toEqual([['v1.0', 'chat'], 'tag v1.0 → 00c35e5e\n']);
    expect(calls[0]![2]).toMatchObject({ force: true });
    const branched = recorder(refs[1]!);
    await runWithStore(['branch', 'chat', 'main~1'], { branch: branched.operation });
    expect(branched.calls[0]!.slice(0, 2)).toEqual(['chat', 'main~1']);
    for (const command of ['tag', 'branch']) {
      expect(await runWithStore([command, 'v1.0'])).toMatchObject({ status: 2, opened: [] });
    }
  });

  test('rm says what was removed', async () => {
    const { calls, operation } = recorder({ removed: 'tag v1.0' });
    expect((await runWithStore(['rm', 'v1.0'], { remove: operation })).stdout).toBe('removed tag v1.0\n');
    expect(calls[0]![0]).toBe('v1.0');
  });
});

describe('ere gc', () => {
  const report = {
    removedCount: 12,
    removedByteLength: 3_100_000,
    youngCount: 2,
    reanchoredCount: 57,
    keptCount: 340,
    keptByteLength: 9_900_000,
  };

  test('--dry-run says what would be done, in the subjunctive', async () => {
    const { calls, operation } = recorder(report);
    const { stdout } = await runWithStore(['gc', '--dry-run', '--grace', '90min', '--max-decode-cost', '3'], {
      gc: operation,
    });
    expect(calls[0]![0]).toMatchObject({ dryRun: true, graceMs: 5_400_000, maxDecodeCost: 3 });
    expect(stdout).toBe(
      'would remove 12 objects, 3.10 MB; would keep 340 objects, 9.90 MB\n' +
        '2 unreferenced objects kept, as a commit may be about to use them (--grace)\n' +
        '57 tensors would be coded anew against the base\n',
    );
  });

  test('without it, what was done', async () => {
    const gc = async (options?: StoreOptions) => {
      expect(options).not.toHaveProperty('dryRun');
      return { ...report, youngCount: 0, reanchoredCount: 0 };
    };
    expect((await runWithStore(['gc'], { gc })).stdout).toBe(
      'removed 12 objects, 3.10 MB; kept 340 objects, 9.90 MB\n',
    );
  });
});

describe('ere fsck', () => {
  const sound: FsckReport = {
    isSound: true,
    versionCount: 12,
    objectCount: 340,
    checkedByteLength: 9_900_000,
    problems: [],
    unreferencedCount: 3,
  };
  const damaged: FsckReport = {
    ...sound,
    isSound: false,
    unreferencedCount: 0,
    problems: [
      { subject: 'object 3f2a', message: 'another digest', versions: [versionId(5)], isRepaired: false },
      { subject: 'tag v1', message: 'its version is gone', versions: [], isRepaired: true },
    ],
  };

  test('a sound store is status 0', async () => {
    const { calls, operation } = recorder(sound);
    const { status, stdout } = await runWithStore(['fsck', '--full', '--repair'], { fsck: operation });
    expect(calls[0]![0]).toMatchObject({ full: true, repair: true });
    expect(status).toBe(0);
    expect(stdout).toBe(
      'sound: 12 versions, 340 objects, 9.90 MB read, every tensor decoded\n' +
        '3 unreferenced objects: no damage; `ere gc` removes them\n',
    );
  });

  test('damage is status 6 behind the report of it, also with --json and --quiet', async () => {
    const operations = { fsck: async () => damaged };
    const text = await runWithStore(['fsck'], operations);
    expect(text.status).toBe(6);
    expect(text.stdout).toBe(
      'problem: object 3f2a: another digest\n' +
        '    cannot be decoded: 00055e5e\n' +
        'repaired: tag v1: its version is gone\n' +
        'damaged: 12 versions, 340 objects, 9.90 MB read\n',
    );
    expect(text.stderr).toBe('error: /work/.ere-store: expected a sound store, found 1 unrepaired problem\n');
    const json = await runWithStore(['fsck', '--json'], operations);
    expect([json.status, JSON.parse(json.stdout)]).toEqual([6, damaged]);
    expect(JSON.parse(json.stderr)).toMatchObject({ code: 'ERE_INTEGRITY', subject: '/work/.ere-store' });
    const quiet = await runWithStore(['fsck', '--quiet'], operations);
    expect([quiet.status, quiet.stdout]).toEqual([6, 'damaged: 2 problems, 1 repaired\n']);
  });
});

describe('ere export and import', () => {
  test('export says whether the store has the version as the archive does', async () => {
    const { names: _, ...version } = logEntry();
    const { calls, operation } = recorder({ version, output: 'x.ere', byteLength: 284_000, isDirect: true });
    const { stdout } = await runWithStore(['export', 'chat', '-o', 'x.ere', '--overwrite'], {
      export: operation,
    });
    expect(calls[0]![0]).toBe('chat');
    expect(calls[0]![1]).toMatchObject({ output: 'x.ere', overwrite: true });
    expect(stdout).toBe('x.ere: chat 3f2a5e5e, 284 kB, as the store has it\n');
  });

  test('import is a commit of an archive', async () => {
    const { calls, operation } = recorder(commitReport({ candidates: [] }));
    const { stdout } = await runWithStore(['import', 'x.ere', '-m', 'from elsewhere', '--no-parent'], {
      import: operation,
    });
    expect(calls[0]![0]).toBe('x.ere');
    expect(calls[0]![1]).toMatchObject({ message: 'from elsewhere', parent: null });
    expect(stdout).toContain('chat 3f2a5e5e: 284 kB, 2.9 % of 9.91 MB; bit-exact\n');
    expect(stdout).not.toContain('expected size');
    const unnamed = recorder(commitReport());
    await runWithStore(['import', 'archives/x.ere'], { import: unnamed.operation });
    expect(unnamed.calls[0]![1]).toMatchObject({ message: 'imported from x.ere' });
    expect(unnamed.calls[0]![1]).not.toHaveProperty('parent');
  });
});

test.each([
  ['tag', 'a b', 'chat'],
  ['branch', '0123abcd', 'chat'],
  ['base', 'add', '../llama', 'models/llama'],
  ['commit', 'tuned', '-m', 'x', '--model', '-'],
  ['import', 'x.ere', '--model', 'a//b'],
])('%s %s …: a name that is none is a usage error', async (...argv) => {
  const { status, stderr, opened } = await runWithStore(argv);
  expect([status, opened]).toEqual([2, []]);
  expect(stderr).toMatch(/Expected a (tag|model|base) name/);
});

test('every command of the store has examples in its help, in 80 columns', async () => {
  const commands = 'init base commit log show checkout tag branch rm gc fsck stats export import'.split(' ');
  for (const command of commands) {
    const { status, stdout } = await runWith([command, '--help']);
    expect([command, status]).toEqual([command, 0]);
    expect(stdout).toContain(`  $ ere ${command}`);
    const [description] = stdout.split('\nOptions:');
    expect(Math.max(...description!.split('\n').map((line) => line.length))).toBeLessThanOrEqual(80);
  }
});

test('escape sequences from a store never reach the terminal', async () => {
  const evil = '\u001b]0;owned\u0007\u202e';
  const version = logEntry({
    message: `${evil}\n${evil}`,
    model: evil,
    names: [evil],
    base: { name: evil, id: versionId(1) },
  });
  const show = showReport({
    version,
    encoding: { [evil]: evil },
    tensors: [{ ...showReport().tensors[0]!, name: evil, codecs: [evil] }],
    sideFiles: [{ path: evil, byteLength: 1, digest: versionId(1) }],
  });
  const printed = [
    await runWithStore(['show', 'x'], { show: async () => show }),
    await runWithStore(['log', '--graph'], { log: async () => [version] }),
    await runWithStore(['commit', 'x', '-m', 'x'], { commit: async () => commitReport({ version }) }),
    await runWithStore(['rm', 'x'], { remove: async () => ({ removed: evil }) }),
    await runWithStore(['tag'], {
      refs: async () => [{ kind: 'tag' as const, name: evil, id: versionId(1) }],
    }),
  ];
  for (const { status, stdout, stderr } of printed) {
    expect(status).toBe(0);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
    expect(stdout + stderr).not.toMatch(/[\u001b\u0007\u202e]/);
  }
});

test('inventory tells how many values it listed', async () => {
  const writeInventory = async () => ({ valueCount: 12 });
  expect((await runWithStore(['inventory'], { writeInventory })).stdout).toBe('Listed 12 values.\n');
  const { stdout } = await runWithStore(['inventory', '--json'], { writeInventory });
  expect(JSON.parse(stdout)).toEqual({ valueCount: 12 });
});

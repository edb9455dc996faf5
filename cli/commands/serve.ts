/** `ere serve`: a store, or a folder of archives, as a Hub that whole models are downloaded from. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { NotFoundError } from '../../formats/errors.js';
import type { LogRecord, ServeOptions } from '../../src/serve/api.js';
import { MIN_SERVE_MEMORY_CAP } from '../../src/serve/limits.js';
import type { CliContext } from '../context.js';
import { createLog, servingText } from '../output/serve.js';
import { jsonText, writeText } from '../output/write.js';
import { parseByteLength, parseCount, parsePort } from '../values.js';
import { addMemoryOption, addReportOptions, withoutUndefined } from './shared-options.js';
import { addStoreOption, asUsage, type StoreFlags, storeLocation } from './store-options.js';

interface ServeFlags extends StoreFlags {
  readonly archives?: string;
  readonly base?: readonly string[];
  readonly host?: string;
  readonly port?: number;
  readonly tokenFile?: string;
  readonly allowHost?: readonly string[];
  readonly cache?: number;
  readonly cacheDir?: string;
  readonly maxConnections?: number;
}

/** Adds `ere serve`. */
export function addServeCommand(program: Command, context: CliContext): void {
  const command = program
    .command('serve')
    .summary('serve a store, so that clients of the Hub download whole models')
    .description(
      'Serves the models of a store, or of a folder of archives, over HTTP as the Hugging Face Hub does: programs that use ' +
        'huggingface_hub, transformers or @huggingface/hub download rebuilt weights with HF_ENDPOINT set to the address, and know ' +
        'nothing of residuals. Tensors are rebuilt when they are asked for, checked against their digests, and kept in a ' +
        'cache of bounded size. Nothing can be changed through it. Its start page lists models and versions.',
    );
  addStoreOption(command)
    .option(
      '--archives <dir>',
      'serve the archives in a folder, name.ere and user/name.ere, instead of a store',
    )
    .option(
      '--base <path...>',
      'where bases are: those of the archives, or where to look first for the base of a store',
    )
    .option('--host <address>', 'address to listen on (default: 127.0.0.1, which only this machine reaches)')
    .addOption(
      new Option('--port <n>', 'port to listen on (default: 8080); 0 takes one that is free').argParser(
        parsePort,
      ),
    )
    .option(
      '--token-file <file>',
      'file with tokens that give access, one a line (default: $ERE_SERVE_TOKEN, else everybody has access)',
    )
    .option('--allow-host <name...>', 'names that the server may be asked by without a token')
    .addOption(
      new Option('--cache <size>', 'disk space for rebuilt tensors (default: 10GiB)').argParser(
        parseByteLength,
      ),
    )
    .option(
      '--cache-dir <dir>',
      'where to keep them while it runs (default: ere in the cache folder of the user)',
    )
    .addOption(
      new Option('--max-connections <n>', 'connections at a time (default: 1000)').argParser(parseCount),
    )
    .addOption(
      new Option('--threads <n>', 'threads that rebuild (default: one a core)').argParser(parseCount),
    );
  addReportOptions(addMemoryOption(command, MIN_SERVE_MEMORY_CAP))
    .addHelpText(
      'after',
      '\nExamples:\n' +
        '  $ ere serve\n' +
        '  $ HF_ENDPOINT=http://127.0.0.1:8080 hf download chat\n' +
        '  $ ere serve --archives ./archives --base /models/llama --port 9000\n' +
        '  $ ERE_SERVE_TOKEN=hf_0123456789abcdef ere serve --host 0.0.0.0\n' +
        '\nEvery request is logged to stderr as one JSON object a line; --quiet logs failures alone. /healthz says whether\n' +
        'the server answers, /metrics counts what it does (Prometheus). Ctrl-C lets downloads finish for ten seconds.',
    )
    .action(async (flags: ServeFlags) => {
      const operations = await context.loadOperations();
      const { signal, environment, stderr, stdout } = context;
      const { archives, base: bases, host, port, cache: maxCacheByteLength, cacheDir: cacheFolder } = flags;
      if (archives !== undefined && flags.store !== undefined)
        throw new InvalidArgumentError('Expected --store or --archives, not both');
      const tokens = await operations.readServeTokens(flags.tokenFile, environment);
      const isExposed =
        tokens.length === 0 && !/^(?:127(?:\.\d{1,3}){3}|localhost|::1)$/.test(host ?? '127.0.0.1');
      const log = createLog(stderr);
      const onLog = (record: LogRecord): void => {
        if (!flags.quiet || record.level !== 'info') log(record);
      };
      const options = withoutUndefined<ServeOptions>({
        ...(archives === undefined
          ? { store: await storeLocation(context, flags, operations) }
          : { archives, hubCacheFolder: await operations.hubCacheFolder(environment) }),
        bases,
        host,
        port,
        tokens,
        allowedHosts: flags.allowHost,
        maxCacheByteLength,
        cacheFolder,
        memoryCap: flags.memory,
        threads: flags.threads,
        maxConnections: flags.maxConnections,
        onLog,
      });
      const serving = await asUsage(() => operations.serve(options));
      try {
        const { url, modelCount } = serving;
        if (modelCount === 0 && archives !== undefined)
          throw new NotFoundError(`${archives}: holds no archive; expected name.ere or user/name.ere`);
        const facts = { url, modelCount, location: archives ?? `${options.store}`, isExposed };
        await writeText(stdout, flags.json ? jsonText(facts) : servingText(facts));
        await untilAborted(signal);
      } finally {
        await serving.close();
      }
    });
}

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** Every state that an operation on a store leaves when its process is killed: one after each change it makes. */
import { processIdentity } from '../../src/io/process-identity.js';
import type { Store } from '../../src/store/api.js';
import type { Key, StoreBackend } from '../../src/store/backend.js';
import { createMemoryBackend } from '../../src/store/backends/memory.js';
import { openStore } from '../../src/store/open-store.js';
import { watchedBackend } from './watched-backend.js';

type Values = ReadonlyMap<Key, Uint8Array>;

/** This host's, of a process that has ended: its number is another's now. */
function endedProcess(): string {
  const [host, pid, , numbering] = JSON.parse(processIdentity());
  return JSON.stringify([host, pid, '1', numbering]);
}

/** Everything that a backend holds. */
export async function valuesOf(backend: StoreBackend): Promise<Map<Key, Uint8Array>> {
  const values = new Map<Key, Uint8Array>();
  for await (const { key } of backend.list('')) values.set(key, await backend.read(key));
  return values;
}

/** A backend in memory that holds these. */
export async function backendOf(values: Values): Promise<StoreBackend> {
  const backend = createMemoryBackend();
  for (const [key, bytes] of values) await backend.write(key, bytes);
  return backend;
}

export interface CrashState {
  /** What was changed last before the crash. */
  readonly after: string;
  /** The store as another process finds it. */
  open(): Promise<Store>;
}

/**
 * Runs an operation on a copy of a store.
 * @returns the states after 0, 1, 2, … of its changes, the locks in them those of a process that has ended
 */
export async function crashStates(
  backend: StoreBackend,
  operation: (store: Store) => Promise<unknown>,
): Promise<CrashState[]> {
  const states: CrashState[] = [];
  const inner = await backendOf(await valuesOf(backend));
  const record = async (after: string): Promise<void> => {
    const values = await valuesOf(inner);
    for (const [key, bytes] of values) {
      if (!key.startsWith('locks/')) continue;
      const lock = { ...JSON.parse(new TextDecoder().decode(bytes)), process: endedProcess() };
      values.set(key, new TextEncoder().encode(JSON.stringify(lock)));
    }
    states.push({ after, open: async () => openStore(await backendOf(values)) });
  };
  await record('nothing');
  await operation(await openStore(watchedBackend(inner, { after: (_call, key) => record(key) })));
  return states;
}

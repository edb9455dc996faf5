/** Folders whose names are on the disk: a file in a folder is durable only if every folder on the way to it is. */
import { mkdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { syncFolder } from '../../io/sync.js';

export interface DurableFolders {
  /** Makes a folder and those on the way to it, durably. Costs nothing for one that is known. System errors unchanged. */
  ensure(path: string): Promise<void>;
  /** To be told when a folder turned out to be gone. */
  forget(path: string): void;
}

/** @param root where the way begins; it is there already, durably */
export function durableFolders(root: string): DurableFolders {
  /** Path → its making, so that writers that come at once wait for one. */
  const known = new Map<string, Promise<void>>();

  function ensure(path: string): Promise<void> {
    if (path === root) return Promise.resolve();
    let made = known.get(path);
    if (made === undefined) {
      made = make(path);
      known.set(path, made);
      made.catch(() => known.delete(path));
    }
    return made;
  }

  async function make(path: string): Promise<void> {
    const parent = dirname(path);
    await ensure(parent);
    await mkdir(path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
    });
    // Also where it was there: who made it may not have come to this yet.
    await syncFolder(parent);
  }

  return {
    ensure,
    forget(path) {
      for (let folder = path; folder.length > root.length; folder = dirname(folder)) known.delete(folder);
    },
  };
}

/** Makes a folder of any place and those on the way to it, durably; nothing happens where it is. */
export async function makeDurably(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true });
  if (first === undefined) return;
  for (let made = path; made.length >= first.length; made = dirname(made)) await syncFolder(dirname(made));
}

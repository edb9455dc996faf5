import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openFolderBackend } from '../../../src/store/backends/file-system.js';
import { describeBackend } from '../../conformance/backend-suite.js';

describeBackend('file system', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'ere-test-'));
  return {
    backend: await openFolderBackend(join(folder, 'deep', 'store'), { create: true }),
    remove: () => rm(folder, { recursive: true, force: true }),
  };
});

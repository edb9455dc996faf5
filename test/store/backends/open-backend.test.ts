import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { expect, it } from 'vitest';
import { openBackend } from '../../../src/store/backends/open-backend.js';
import { withTempFolder } from '../../helpers/temp-folder.js';

it('a path, a file: URL, an http: URL and an s3: URL open their backends', async () => {
  await withTempFolder(async (folder) => {
    const path = join(folder, 'a store');
    await expect(openBackend(path)).rejects.toMatchObject({ code: 'ERE_NOT_FOUND' });
    const made = await openBackend(path, { create: true });
    expect(made).toMatchObject({ folder: path, location: path });
    expect((await openBackend(pathToFileURL(path).href)).folder).toBe(path);
    const web = await openBackend('HTTPS://user:secret@example.com/models/?q=1');
    expect(web).toMatchObject({ location: 'https://example.com/models', isReadOnly: true });
    const s3 = await openBackend('s3://bucket/models?endpoint=http://127.0.0.1:1');
    expect(s3).toMatchObject({ location: 's3://bucket/models', isReadOnly: false });
    await s3.close();
  });
});

it('what is neither is refused, without repeating what may be secret', async () => {
  await expect(openBackend('ftp://user:secret@host/x')).rejects.toThrow(
    /^expected a folder, s3:\/\/, http:\/\/ or https:\/\/, got ftp:\/\/$/,
  );
  await expect(openBackend('s3://')).rejects.toThrow(RangeError);
});

/** A backend from the text that a user gives for a store's place. */
import type { StoreBackend } from '../backend.js';
import { openFolderBackend } from './file-system.js';

export interface OpenBackendOptions {
  /** Make the folder where there is none. Default false. */
  readonly create?: boolean;
}

/**
 * A folder's path, `file:`, `http:`, `https:` or `s3://bucket/prefix?endpoint=…` (docs/spec/store-backends.md §2).
 * What the network needs is loaded only for it.
 * @throws RangeError for a malformed URL; else as the backend's own function
 */
export async function openBackend(location: string, options: OpenBackendOptions = {}): Promise<StoreBackend> {
  // Two letters at least: "C:\models" is a path.
  const scheme = /^([a-z][a-z0-9+.-]+):/i.exec(location)?.[1]?.toLowerCase();
  if (scheme === 'http' || scheme === 'https') return (await import('./http.js')).openHttpBackend(location);
  if (scheme === 's3') {
    const { openS3Backend, parseS3Url } = await import('./s3.js');
    return openS3Backend(parseS3Url(location));
  }
  if (scheme !== undefined && location.includes('://')) {
    if (scheme !== 'file') {
      throw new RangeError(`expected a folder, s3://, http:// or https://, got ${scheme}://`);
    }
    const { fileURLToPath } = await import('node:url');
    return openFolderBackend(fileURLToPath(location), options);
  }
  return openFolderBackend(location, options);
}

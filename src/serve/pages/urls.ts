/**
 * Paths of what is served, from names that others chose: every segment is percent-encoded, and a name whose segments a
 * browser would resolve away (`..`), or read as another host (`//host`), has no path.
 */
import type { CommitId } from '../catalog.js';

const LONE_SURROGATE = /\p{Surrogate}/gu;

/** `/user/name` of a model's page; undefined for a name that cannot be linked. */
export function modelUrl(model: string): string | undefined {
  return pathOf(model);
}

/** A further page of a model's versions. @param page from 1 */
export function modelPageUrl(model: string, page: number): string | undefined {
  const url = modelUrl(model);
  return url === undefined || page === 1 ? url : `${url}?page=${page}`;
}

/** `/user/name/tree/3f2a…`: the page of a version. */
export function versionUrl(model: string, commit: CommitId): string | undefined {
  return pathOf(model, 'tree', commit);
}

/** `/user/name/resolve/main/model.safetensors`: a file. @param revision branch, tag or commit */
export function fileUrl(model: string, revision: string, path: string): string | undefined {
  return pathOf(model, 'resolve', revision, path);
}

/** @param parts may be paths themselves */
function pathOf(...parts: readonly string[]): string | undefined {
  const segments = parts.join('/').split('/');
  if (segments.some((segment) => segment === '' || segment === '.' || segment === '..')) return undefined;
  return segments
    .map((segment) => `/${encodeURIComponent(segment.replace(LONE_SURROGATE, '\ufffd'))}`)
    .join('');
}

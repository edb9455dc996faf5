/** The decoder's work on the tensors of a version, run by the worker pool. */
import type { JobRunner } from '../io/worker-pool.js';
import {
  type DecodeJob,
  type DecodeJobResult,
  type DecodeJobsInit,
  openDecodeJobs,
} from '../residual/decode-jobs.js';
import { openPlace, type VersionPlace } from './version-sources.js';

export async function openJobs(
  init: DecodeJobsInit<VersionPlace>,
): Promise<JobRunner<DecodeJob, DecodeJobResult>> {
  return openDecodeJobs(init, await openPlace(init.sources));
}

/** The codecs of archive version 1, by the name that stands in the archive (docs/spec/codecs.md). */

import { ansDenseCodec } from './ans-dense.js';
import { bytesCodec } from './bytes.js';
import type { Codec } from './codec.js';
import { codedDenseCodec } from './coded-dense.js';
import { codedLowRankCodec } from './coded-low-rank.js';
import { codedSubspaceCodec } from './coded-subspace.js';
import { denseCodec } from './dense.js';
import { intervalCodec } from './interval.js';
import { intervalSmallCodec } from './interval-small.js';
import { lowRankCodec } from './low-rank.js';
import { signCodec } from './sign.js';

export const CODECS: ReadonlyMap<string, Codec> = new Map(
  [
    codedSubspaceCodec,
    codedLowRankCodec,
    codedDenseCodec,
    ansDenseCodec,
    lowRankCodec,
    denseCodec,
    signCodec,
    bytesCodec,
    intervalCodec,
    intervalSmallCodec,
  ].map((codec) => [codec.id, codec]),
);

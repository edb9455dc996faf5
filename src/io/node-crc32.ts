/** CRC-32 from node:zlib, which needs no tables and no compiling; Node 21 and the first of 22 lack it. */
import * as zlib from 'node:zlib';
import { type Crc32, crc32 } from '../../formats/crc32.js';

export const nodeCrc32: Crc32 = (zlib as { readonly crc32?: Crc32 }).crc32 ?? crc32;

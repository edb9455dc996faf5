/**
 * Float32 GEMM after Goto and van de Geijn: a chunk of B (K_CHUNK × N_CHUNK) is packed into the operand
 * region, blocks of A and C pass over it. Blocking over rows and columns changes no result; that over k
 * is the contract's (GEMM_BLOCK_K).
 */
import { checkGemm } from '../arguments.js';
import { GEMM_BLOCK_K, type GemmRequest } from '../kernels.js';
import { type Arena, OPERAND_START } from './arena.js';
import { copyIn, copyOut } from './rectangle.js';

/** Rows of A in a block: with K_CHUNK, 1 MiB. */
const M_BLOCK = 256;

/** Columns of B in a chunk: a packed block of GEMM_BLOCK_K is 512 KiB. */
const N_CHUNK = 512;

/** k of a chunk; a multiple of GEMM_BLOCK_K. */
const K_CHUNK = 4 * GEMM_BLOCK_K;

const PANEL_COLUMNS = 8;
const EDGE_BYTES = 128;

export function gemm(arena: Arena, request: GemmRequest): void {
  checkGemm(request);
  const { m, n, k, a, b, c, transposeA = false, accumulate = false } = request;
  if (!accumulate) c.fill(0);
  const mBlock = Math.min(m, M_BLOCK);
  const nChunk = Math.min(n, N_CHUNK);
  const kChunk = Math.min(k, K_CHUNK);
  // B's raw rows, A's raw block and C share nothing; A and B raw are never alive together.
  const [edge, raw, tiles, block] = arena.layOut(
    EDGE_BYTES,
    Math.max(mBlock, nChunk) * kChunk * 4,
    (mBlock + 4) * GEMM_BLOCK_K * 4,
    mBlock * nChunk * 4,
  );
  for (let column = 0; column < n; column += nChunk) {
    const columnCount = Math.min(nChunk, n - column);
    for (let kStart = 0; kStart < k; kStart += kChunk) {
      const kCount = Math.min(kChunk, k - kStart);
      copyIn(arena, raw, b, { row: kStart, rowCount: kCount, column, columnCount, columns: n });
      packChunk(arena, raw, columnCount, kCount);
      for (let row = 0; row < m; row += mBlock) {
        const rowCount = Math.min(mBlock, m - row);
        copyIn(
          arena,
          raw,
          a,
          transposeA
            ? { row: kStart, rowCount: kCount, column: row, columnCount: rowCount, columns: m }
            : { row, rowCount, column: kStart, columnCount: kCount, columns: k },
        );
        const rectangle = { row, rowCount, column, columnCount, columns: n };
        copyIn(arena, block, c, rectangle);
        const rowStride = transposeA ? 4 : kCount * 4;
        const kStride = transposeA ? rowCount * 4 : 4;
        for (let offset = 0; offset < kCount; offset += GEMM_BLOCK_K) {
          const steps = Math.min(GEMM_BLOCK_K, kCount - offset);
          arena.kernels.packTilesFloat32(raw + offset * kStride, rowStride, kStride, rowCount, steps, tiles);
          const panels = OPERAND_START + offset * paddedColumns(columnCount) * 4;
          arena.kernels.productFloat32(
            tiles,
            panels,
            rowCount,
            columnCount,
            steps,
            block,
            columnCount * 4,
            edge,
          );
        }
        copyOut(arena, block, c, rectangle);
      }
    }
  }
}

function paddedColumns(columns: number): number {
  return Math.ceil(columns / PANEL_COLUMNS) * PANEL_COLUMNS;
}

/** Packs the chunk of B at `raw` into the operand region, one block of k behind the other. */
function packChunk(arena: Arena, raw: number, columns: number, kCount: number): void {
  arena.reserve(OPERAND_START + paddedColumns(columns) * kCount * 4);
  arena.operand = undefined;
  for (let offset = 0; offset < kCount; offset += GEMM_BLOCK_K) {
    const steps = Math.min(GEMM_BLOCK_K, kCount - offset);
    const target = OPERAND_START + offset * paddedColumns(columns) * 4;
    arena.kernels.packPanelsFloat32(raw + offset * columns * 4, columns, steps, target);
  }
}

/** The report of an encode: what the archive holds, from the encoder's side. */
import { lossyByteLength } from '../../formats/ere/levels.js';
import type { EncodeReport } from './api.js';
import type { ChosenBase } from './choose-base.js';
import type { EncodedArchive, EncodeInputs } from './encode-archive.js';
import { strategyOf, weightByteLength } from './encode-options.js';
import { tensorReport } from './tensor-report.js';

export function encodeReport(
  { inputs, chosen }: { readonly inputs: EncodeInputs; readonly chosen: ChosenBase },
  encoded: EncodedArchive,
  warnings: readonly string[],
  durationMs: number,
): EncodeReport {
  const { fineTuned, pairing, options } = inputs;
  const archiveByteLength = encoded.layout.byteLength;
  const fineTunedByteLength = weightByteLength(fineTuned);
  return {
    ...chosenBase(chosen),
    archiveByteLength,
    fineTunedByteLength,
    ratio: archiveByteLength / fineTunedByteLength,
    relativeError: relativeErrorOf(encoded.tensors),
    ...lossyReport(encoded, fineTunedByteLength),
    allocation: options.lossless === true ? 'lossless' : strategyOf(options),
    ...(options.preset === undefined ? {} : { preset: options.preset }),
    bits: encoded.bits,
    ...(encoded.step === undefined ? {} : { step: encoded.step }),
    productRanks: encoded.productRanks,
    tensors: encoded.tensors.map(({ analysis }, i) => tensorReport(encoded.layout.index, i, analysis.case)),
    removed: pairing.removed,
    sideFiles: encoded.sideFiles.map(({ path, byteLength, blob }) => ({
      path,
      byteLength,
      from: blob === undefined ? ('base' as const) : ('archive' as const),
    })),
    skippedFiles: fineTuned.skippedFiles,
    warnings: [...warnings, ...encoded.gemm.warnings],
    gemmEngine: encoded.gemm.engine,
    durationMs,
  };
}

/** Which base was taken, and of which. */
export function chosenBase({ path, candidates }: ChosenBase): Pick<EncodeReport, 'base' | 'baseCandidates'> {
  return { base: path, ...(candidates === undefined ? {} : { baseCandidates: candidates }) };
}

/** The part of the file that decodes without the exact terms on top; nothing where there are none. */
function lossyReport(
  { layout, tensors }: EncodedArchive,
  fineTunedByteLength: number,
): Pick<EncodeReport, 'lossy'> {
  if (layout.index.decoded.lossyDigest === undefined) return {};
  const byteLength = lossyByteLength(layout);
  return {
    lossy: {
      byteLength,
      ratio: byteLength / fineTunedByteLength,
      relativeError: relativeErrorOf(tensors.map(({ refinement: _, ...lossy }) => lossy)),
    },
  };
}

/** ‖W_ft − Ŵ‖ / ‖W_ft − W_base‖ over every tensor with a residual, exactly coded ones too; 0 without one. */
export function relativeErrorOf(tensors: EncodedArchive['tensors']): number {
  let squaredError = 0;
  let squaredResidual = 0;
  for (const { analysis, encoded, refinement } of tensors) {
    if (analysis.squaredResidual === 0) continue; // Exact; a distance between infinities would be NaN.
    if (refinement === undefined) squaredError += encoded.squaredError;
    squaredResidual += analysis.squaredResidual;
  }
  return squaredResidual === 0 ? 0 : Math.sqrt(squaredError / squaredResidual);
}

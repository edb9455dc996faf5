/**
 * ERE stores a fine-tuned model as a small, verified residual against its base model
 * (Efficient Residual Encoding, arXiv 2305.18425).
 *
 * `encode` writes an `.ere` archive, `decode` rebuilds the checkpoint bit for bit as the encoder saw it,
 * `verify` checks one, `inspect` reads its index, `truncate` keeps its first part, `openArchive` streams its tensors,
 * and `diff` compares two checkpoints without writing anything. Errors are EreError with a stable `code`.
 *
 * @packageDocumentation
 */
export {
  AbortedError,
  BudgetError,
  CheckpointMismatchError,
  CodecError,
  ConflictError,
  EreError,
  type EreErrorCode,
  FormatError,
  IntegrityError,
  IoError,
  isEreError,
  LimitError,
  NotFoundError,
  UnsupportedError,
} from '../formats/errors.js';
export { type ExportLoraOptions, type ExportLoraReport, exportLora } from './export/peft.js';
export type { KernelPath } from './kernels/kernels.js';
export type { Device } from './linalg/devices.js';
export type {
  Allocation,
  Budget,
  CommonOptions,
  DecodedTensor,
  DecodeOptions,
  DecodeReport,
  DecodeTensorsOptions,
  EncodeEstimate,
  EncodeOptions,
  EncodeReport,
  InspectReport,
  Loss,
  Progress,
  TensorCase,
  TensorReport,
  TruncateOptions,
  TruncateReport,
  UsablePrefix,
  VerifyOptions,
  VerifyReport,
} from './residual/api.js';
export { decode } from './residual/decode.js';
export { diff } from './residual/diff.js';
export type {
  DiffOptions,
  DiffReport,
  SizeEstimate,
  SpectrumSummary,
  TensorDiff,
} from './residual/diff-report.js';
export { encode, estimateEncode } from './residual/encode.js';
export { inspect } from './residual/inspect.js';
export { type OpenArchive, openArchive } from './residual/open-archive.js';
export type { PresetName } from './residual/presets.js';
export { truncate } from './residual/truncate.js';
export { verify } from './residual/verify.js';
export type { PrefixChange } from './sketch/match-names.js';
export type { BaseRank, BaseVerdict } from './sketch/rank-bases.js';
export { PACKAGE_VERSION } from './version.js';

/** Upper bounds on what untrusted input may make ERE allocate. Each with its reason. */
export const LIMITS = {
  /** safetensors' own bound on its JSON header (100 MB), see safetensors/src/tensor.rs MAX_HEADER_SIZE. */
  safetensorsHeaderByteLength: 100_000_000,
  /** PyTorch's and NumPy's practical bound on dimensions; no real checkpoint has more. */
  dimensions: 64,
  /** An index of a 70 B model with 1,000 tensors is under 1 MB; 100 MB covers a million tensors. */
  archiveIndexByteLength: 100_000_000,
  /**
   * Digests and checksums do not deflate: real indexes reach 3:1 to 20:1. With this bound a file of a kilobyte
   * cannot make a reader parse more than 64 KB of JSON; a writer stores an index that would deflate further.
   */
  archiveIndexDeflateRatio: 64,
  /**
   * Objects and arrays of an index, counted as bytes `{` and `[`. The largest index of real records has under
   * 3 million; an index of nothing else would take 2 GB once parsed.
   */
  archiveIndexContainers: 4_000_000,
  /** deflate expands at most 1032:1, so n stored bytes can never honestly claim more. */
  deflateRatio: 1032,
  /** Side files are configs, tokenizers and templates; the largest tokenizers are about 35 MB. */
  sideFileByteLength: 64 * 1024 * 1024,
  /** A model repository has tens of files; a folder with thousands is not a model. */
  sideFileCount: 10_000,
  /** Well under PATH_MAX (4096 on Linux, 1024 on macOS), so that a path still fits when it is joined to a folder. */
  pathByteLength: 768,
  /** NAME_MAX of every common file system. */
  pathSegmentByteLength: 255,
  /** Chunks are units of checking and of progressive decoding; larger ones would break memory caps. */
  chunkByteLength: 256 * 1024 * 1024,
  /** A sketch takes under 500 bytes a tensor: 100 MB covers 200,000. */
  sketchByteLength: 100_000_000,
  /** Names deflate 30:1 and samples 2:1; see archiveIndexDeflateRatio. */
  sketchDeflateRatio: 64,
} as const;

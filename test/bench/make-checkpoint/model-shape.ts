/**
 * Llama-shaped models of any parameter count: widths are those of published models, and the number of layers makes
 * up the rest. Where a published model is within 5 % of the count it is taken as it is: 7B is Llama 2 7B.
 */

/** What decides the tensors of a Llama (grouped-query attention, SwiGLU, RMSNorm, untied embeddings). */
export interface ModelShape {
  readonly hiddenSize: number;
  /** Width of the SwiGLU layer. */
  readonly intermediateSize: number;
  readonly layerCount: number;
  readonly headCount: number;
  /** Key and value heads; `headCount` of them without grouped-query attention. */
  readonly keyValueHeadCount: number;
  readonly vocabularySize: number;
}

/** Shapes in ascending size. Layer counts are the published ones, or usual ones for models so small. */
const TEMPLATES: readonly ModelShape[] = [
  shape(64, 176, 4, 4, 2, 512),
  shape(128, 352, 8, 4, 2, 2_048),
  shape(256, 704, 8, 8, 4, 8_192),
  shape(512, 1_408, 10, 8, 4, 16_000),
  shape(768, 2_048, 12, 12, 4, 32_000),
  shape(1_024, 2_816, 24, 16, 4, 32_000),
  shape(1_536, 4_096, 24, 16, 4, 32_000),
  shape(2_048, 5_632, 22, 32, 4, 32_000), // TinyLlama 1.1B
  shape(3_200, 8_640, 26, 32, 32, 32_000), // OpenLLaMA 3B
  shape(4_096, 11_008, 32, 32, 32, 32_000), // Llama 2 7B
  shape(4_096, 14_336, 32, 32, 8, 128_256), // Llama 3 8B
  shape(5_120, 13_824, 40, 40, 40, 32_000), // Llama 2 13B
  shape(6_656, 17_920, 60, 52, 52, 32_000), // LLaMA 33B
  shape(8_192, 28_672, 80, 64, 8, 32_000), // Llama 2 70B
];

/** How far a published model may be from the count that it is taken for. */
const PUBLISHED_TOLERANCE = 0.05;
/** How far any shape may be from the count. */
const TOLERANCE = 0.1;

function shape(
  hiddenSize: number,
  intermediateSize: number,
  layerCount: number,
  headCount: number,
  keyValueHeadCount: number,
  vocabularySize: number,
): ModelShape {
  return { hiddenSize, intermediateSize, layerCount, headCount, keyValueHeadCount, vocabularySize };
}

/** Parameters of a model, both embeddings and all norms counted. */
export function parameterCountOf(model: ModelShape): number {
  const { hiddenSize, layerCount, vocabularySize } = model;
  return 2 * vocabularySize * hiddenSize + hiddenSize + layerCount * layerParameterCount(model);
}

function layerParameterCount(model: ModelShape): number {
  const { hiddenSize, intermediateSize } = model;
  const attention = 2 * hiddenSize * hiddenSize + 2 * keyValueSize(model) * hiddenSize;
  return attention + 3 * intermediateSize * hiddenSize + 2 * hiddenSize;
}

/** Rows of the key and value projections. */
export function keyValueSize({ hiddenSize, headCount, keyValueHeadCount }: ModelShape): number {
  return (hiddenSize / headCount) * keyValueHeadCount;
}

/**
 * The shape for a parameter count: of all that come close, the one whose depth is nearest to the published depth at
 * its width.
 * @throws RangeError where none comes within a tenth
 */
export function shapeFor(parameterCount: number): ModelShape {
  const candidates = TEMPLATES.map((template) => {
    const isPublished = relativeDistance(template, parameterCount) <= PUBLISHED_TOLERANCE;
    const model = isPublished ? template : withDepthFor(template, parameterCount);
    return { model, stretch: Math.abs(Math.log(model.layerCount / template.layerCount)) };
  });
  const fitting = candidates.filter(({ model }) => relativeDistance(model, parameterCount) <= TOLERANCE);
  const close = fitting.filter(({ model }) => relativeDistance(model, parameterCount) <= PUBLISHED_TOLERANCE);
  const [best] = (close.length > 0 ? close : fitting).sort((a, b) => a.stretch - b.stretch);
  if (best === undefined) {
    const least = parameterCountOf({ ...TEMPLATES[0]!, layerCount: 1 });
    throw new RangeError(
      `expected a parameter count of at least ${least} that some Llama shape comes near, got ${parameterCount}`,
    );
  }
  return best.model;
}

function withDepthFor(template: ModelShape, parameterCount: number): ModelShape {
  const fixed = parameterCountOf({ ...template, layerCount: 0 });
  const layerCount = Math.max(1, Math.round((parameterCount - fixed) / layerParameterCount(template)));
  return { ...template, layerCount };
}

function relativeDistance(model: ModelShape, parameterCount: number): number {
  return Math.abs(parameterCountOf(model) / parameterCount - 1);
}

const UNITS = new Map([
  ['', 1],
  ['K', 1e3],
  ['M', 1e6],
  ['B', 1e9],
  ['T', 1e12],
]);

/** '125M', '1.1B', '2000000' → a count. Throws TypeError on anything else. */
export function parseParameterCount(text: string): number {
  const match = /^(\d+(?:\.\d+)?)([KMBT]?)$/i.exec(text.trim());
  const count = match === null ? 0 : Math.round(Number(match[1]) * UNITS.get(match[2]!.toUpperCase())!);
  if (Number.isSafeInteger(count) && count > 0) return count;
  throw new TypeError(`expected a parameter count such as 125M, 1B or 7B, got "${text}"`);
}

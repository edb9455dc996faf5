/** How far decoded bf16 weights are from the right ones, in units in the last place. */

export interface UlpComparison {
  /** Share of weights with the same bits. */
  readonly equalShare: number;
  /** Share of weights whose decoded value is the same or a neighbour; −0 and 0 are one value. */
  readonly neighbourShare: number;
  /**
   * Largest error in units of the larger of base and fine-tuned weight. Where a residual all but cancels a weight, the
   * unit of what is left can be a billionth of it, so that neighbours there say nothing about a decoder.
   */
  readonly largestError: number;
}

/** Three bf16 tensors of the same length, little-endian. */
export interface DecodedTriple {
  readonly base: Uint8Array;
  readonly fineTuned: Uint8Array;
  readonly decoded: Uint8Array;
}

export function compareUlps(triples: readonly DecodedTriple[]): UlpComparison {
  let [equal, neighbours, count, largestError] = [0, 0, 0, 0];
  for (const triple of triples) {
    const [base, fineTuned, decoded] = [triple.base, triple.fineTuned, triple.decoded].map(
      (bytes) => new Uint16Array(bytes.slice().buffer),
    ) as [Uint16Array, Uint16Array, Uint16Array];
    count += fineTuned.length;
    for (let i = 0; i < fineTuned.length; i++) {
      if (fineTuned[i] === decoded[i]) {
        equal++;
        neighbours++;
        continue;
      }
      if (Math.abs(order(fineTuned[i]!) - order(decoded[i]!)) <= 1) neighbours++;
      const unit = unitOf(Math.max(base[i]! & 0x7fff, fineTuned[i]! & 0x7fff));
      largestError = Math.max(
        largestError,
        Math.abs(realValue(fineTuned[i]!) - realValue(decoded[i]!)) / unit,
      );
    }
  }
  return { equalShare: equal / count, neighbourShare: neighbours / count, largestError };
}

/** Position of a code among all of them; both zeros are 0. */
function order(code: number): number {
  return code & 0x8000 ? -(code & 0x7fff) : code;
}

/** Distance to the next larger magnitude: 2^(e − 7), and that of the smallest normal ones for subnormals. */
function unitOf(magnitude: number): number {
  return 2 ** (Math.max(1, magnitude >> 7) - 127 - 7);
}

function realValue(code: number): number {
  const magnitude = (code & 0x7f) + (code & 0x7f80 ? 0x80 : 0);
  return (code & 0x8000 ? -1 : 1) * magnitude * unitOf(code & 0x7fff);
}

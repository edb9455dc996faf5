/**
 * Fast independent random numbers, one stream for every (seed, tensor, purpose, row), so that a row has the same
 * values whoever makes it, and when. Bits are those of sfc32 (C. Doty-Humphrey's PractRand); a key is its starting
 * state, so that different keys are different streams. Normal deviates come from the ziggurat of Marsaglia and Tsang
 * (2000) with 256 layers, and with the layer and the value from different bits (Doornik 2005): exact in the tails.
 */

const LAYERS = 256;
/** Where the tail begins, and the area of every layer, for 256 of them. */
const TAIL = 3.6541528853610088;
const AREA = 0.00492867323399;
/** Values have 24 bits, one of them the sign. */
const VALUE_SCALE = 2 ** 23;
/** Rounds that PractRand discards after seeding with three words. */
const WARM_UP_ROUNDS = 15;

const density = (x: number): number => Math.exp(-0.5 * x * x);

/** Right edges of the layers, in descending order; 0 is the base strip as wide as a box of its area, LAYERS is 0. */
const EDGES = layerEdges();
const WIDTHS = Float64Array.from({ length: LAYERS }, (_, i) => EDGES[i]! / VALUE_SCALE);
/** Values below it lie under the curve for sure. */
const INNER = Float64Array.from({ length: LAYERS }, (_, i) => (EDGES[i + 1]! / EDGES[i]!) * VALUE_SCALE);
const DENSITIES = EDGES.map(density);

function layerEdges(): Float64Array {
  const edges = new Float64Array(LAYERS + 1);
  edges[0] = AREA / density(TAIL);
  edges[1] = TAIL;
  for (let i = 2; i < LAYERS; i++) {
    edges[i] = Math.sqrt(-2 * Math.log(AREA / edges[i - 1]! + density(edges[i - 1]!)));
  }
  return edges;
}

export class RandomStream {
  #a = 0;
  #b = 0;
  #c = 0;
  #counter = 0;

  /** Starts the stream of a key of three 32-bit words. */
  start(first: number, second: number, third: number): this {
    this.#a = first | 0;
    this.#b = second | 0;
    this.#c = third | 0;
    this.#counter = 1;
    for (let i = 0; i < WARM_UP_ROUNDS; i++) this.bits();
    return this;
  }

  /** 32 bits as an int32. */
  bits(): number {
    const result = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + result) | 0;
    return result;
  }

  /** Uniform in (0, 1). */
  uniform(): number {
    return ((this.bits() >>> 0) + 0.5) / 2 ** 32;
  }

  /** One normal deviate of mean 0 and variance 1. */
  normal(): number {
    for (;;) {
      const bits = this.bits();
      const value = (bits >> 8) + 0.5;
      const layer = bits & 255;
      const x = value * WIDTHS[layer]!;
      if (Math.abs(value) < INNER[layer]! || this.#isUnderCurve(layer, x)) return x;
      if (layer === 0) return x < 0 ? -this.#tail() : this.#tail();
    }
  }

  /** Fills out[begin, end) with normal deviates: those that as many calls of `normal` give. */
  fillNormal(out: Float32Array, begin: number, end: number): void {
    // The state in local variables: several times faster than one call a value.
    let a = this.#a;
    let b = this.#b;
    let c = this.#c;
    let counter = this.#counter;
    for (let i = begin; i < end; i++) {
      const bits = (((a + b) | 0) + counter) | 0;
      const value = (bits >> 8) + 0.5;
      const layer = bits & 255;
      if (Math.abs(value) < INNER[layer]!) {
        counter = (counter + 1) | 0;
        a = b ^ (b >>> 9);
        b = (c + (c << 3)) | 0;
        c = (((c << 21) | (c >>> 11)) + bits) | 0;
        out[i] = value * WIDTHS[layer]!;
      } else {
        // About one in a hundred; from the same bits again.
        this.#a = a;
        this.#b = b;
        this.#c = c;
        this.#counter = counter;
        out[i] = this.normal();
        a = this.#a;
        b = this.#b;
        c = this.#c;
        counter = this.#counter;
      }
    }
    this.#a = a;
    this.#b = b;
    this.#c = c;
    this.#counter = counter;
  }

  /** Whether a point of the layer at x, drawn here, is under the curve. Never for the base strip, which has its tail. */
  #isUnderCurve(layer: number, x: number): boolean {
    if (layer === 0) return false;
    const low = DENSITIES[layer]!;
    return low + this.uniform() * (DENSITIES[layer + 1]! - low) < density(x);
  }

  /** A deviate over TAIL (Marsaglia 1964). */
  #tail(): number {
    for (;;) {
      const x = -Math.log(this.uniform()) / TAIL;
      const y = -Math.log(this.uniform());
      if (2 * y > x * x) return TAIL + x;
    }
  }
}

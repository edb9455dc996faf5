import { expect, test } from 'vitest';
import { buildGemmModel, buildGramModel } from '../../src/linalg/onnx-model.js';

/** Reads one level of a protobuf message: [field, value or bytes]. */
function fields(bytes: Uint8Array): [number, number | Uint8Array][] {
  const result: [number, number | Uint8Array][] = [];
  let at = 0;
  const varint = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      value |= (byte & 127) << shift;
      if (byte < 128) return value;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const value = varint();
    if ((tag & 7) === 0) result.push([tag >>> 3, value]);
    else {
      result.push([tag >>> 3, bytes.subarray(at, at + value)]);
      at += value;
    }
  }
  return result;
}

const all = (bytes: Uint8Array, field: number) =>
  fields(bytes).flatMap(([id, value]) => (id === field ? [value] : []));
const text = (value: number | Uint8Array) => new TextDecoder().decode(value as Uint8Array);

test('the GEMM model is one Gemm node with its transpositions, IR version 8, operator set 17', () => {
  const model = buildGemmModel({ transposeA: true, transposeB: false });
  expect(all(model, 1)).toEqual([8]);
  expect(all(all(model, 8)[0] as Uint8Array, 2)).toEqual([17]);
  const graph = all(model, 7)[0] as Uint8Array;
  const nodes = all(graph, 1) as Uint8Array[];
  expect(nodes.map((node) => all(node, 4).map(text))).toEqual([['Gemm']]);
  const attributes = (all(nodes[0], 5) as Uint8Array[]).map((one) => [
    text(all(one, 1)[0]),
    all(one, 3)[0],
    all(one, 20)[0],
  ]);
  expect(attributes).toEqual([
    ['transA', 1, 2],
    ['transB', 0, 2],
  ]);
  expect((all(graph, 11) as Uint8Array[]).map((info) => text(all(info, 1)[0]))).toEqual(['a', 'b']);
});

test('the Gram model casts to double before it multiplies', () => {
  const graph = all(buildGramModel(), 7)[0] as Uint8Array;
  expect((all(graph, 1) as Uint8Array[]).map((node) => text(all(node, 4)[0]))).toEqual(['Cast', 'Gemm']);
  const output = all(graph, 12)[0] as Uint8Array;
  const tensorType = all(all(output, 2)[0] as Uint8Array, 1)[0] as Uint8Array;
  expect(all(tensorType, 1)).toEqual([11]); // TensorProto.DataType.DOUBLE
});

test('equal options give equal bytes', () => {
  expect(buildGemmModel({ transposeA: false, transposeB: true })).toEqual(
    buildGemmModel({ transposeA: false, transposeB: true }),
  );
});

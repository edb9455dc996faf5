/**
 * The bytes of the two ONNX graphs that the GEMM engine runs, written field by field
 * (onnx.proto3, IR version 8, operator set 17), so that no ONNX or protobuf package is needed.
 *
 *     gemm:  c = op(a) · b          one Gemm node, float32
 *     gram:  c = aᵀ · a             Cast to double, then Gemm: products and sums in float64
 *
 * All dimensions are symbolic: one session serves every size.
 */

/** Identifiers of onnx.proto3 messages that are used here. */
const modelProto = { irVersion: 1, graph: 7, opsetImport: 8 } as const;
const operatorSetIdProto = { version: 2 } as const;
const graphProto = { node: 1, name: 2, input: 11, output: 12 } as const;
const nodeProto = { input: 1, output: 2, opType: 4, attribute: 5 } as const;
const attributeProto = { name: 1, int: 3, type: 20 } as const;
const valueInfoProto = { name: 1, type: 2 } as const;
const typeProto = { tensorType: 1 } as const;
const tensorTypeProto = { elementType: 1, shape: 2 } as const;
const tensorShapeProto = { dimension: 1 } as const;
const dimensionProto = { parameter: 2 } as const;

const attributeTypeInt = 2; // AttributeProto.AttributeType.INT
const float32Type = 1; // TensorProto.DataType.FLOAT
const float64Type = 11; // TensorProto.DataType.DOUBLE
const irVersion = 8; // onnx 1.10 and later; every onnxruntime since 1.10 reads it
const opsetVersion = 17; // last with Gemm-13 and Cast-13 unchanged

const encoder = new TextEncoder();

/** Base-128 little-endian; all values here are below 2³¹. */
function varint(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  for (; rest > 127; rest >>>= 7) bytes.push((rest & 127) | 128);
  bytes.push(rest);
  return bytes;
}

/** Wire type 0. */
const integerField = (field: number, value: number): number[] => [...varint(field << 3), ...varint(value)];

/** Wire type 2: sub-message. */
const messageField = (field: number, bytes: readonly number[]): number[] => [
  ...varint((field << 3) | 2),
  ...varint(bytes.length),
  ...bytes,
];

/** Wire type 2: string. */
const stringField = (field: number, text: string): number[] => messageField(field, [...encoder.encode(text)]);

/** A two-dimensional tensor with free dimensions. */
function matrixInfo(name: string, elementType: number): number[] {
  const dimension = (index: number) =>
    messageField(tensorShapeProto.dimension, stringField(dimensionProto.parameter, `${name}${index}`));
  const tensor = [
    ...integerField(tensorTypeProto.elementType, elementType),
    ...messageField(tensorTypeProto.shape, [...dimension(0), ...dimension(1)]),
  ];
  return [
    ...stringField(valueInfoProto.name, name),
    ...messageField(valueInfoProto.type, messageField(typeProto.tensorType, tensor)),
  ];
}

function node(
  opType: string,
  inputs: readonly string[],
  output: string,
  attributes: Readonly<Record<string, number>>,
): number[] {
  return [
    ...inputs.flatMap((input) => stringField(nodeProto.input, input)),
    ...stringField(nodeProto.output, output),
    ...stringField(nodeProto.opType, opType),
    ...Object.entries(attributes).flatMap(([name, value]) =>
      messageField(nodeProto.attribute, [
        ...stringField(attributeProto.name, name),
        ...integerField(attributeProto.int, value),
        ...integerField(attributeProto.type, attributeTypeInt),
      ]),
    ),
  ];
}

function model(
  name: string,
  nodes: readonly number[][],
  inputs: readonly number[][],
  output: readonly number[],
): Uint8Array {
  const graph = [
    ...nodes.flatMap((bytes) => messageField(graphProto.node, bytes)),
    ...stringField(graphProto.name, name),
    ...inputs.flatMap((bytes) => messageField(graphProto.input, bytes)),
    ...messageField(graphProto.output, output),
  ];
  return Uint8Array.from([
    ...integerField(modelProto.irVersion, irVersion),
    ...messageField(modelProto.graph, graph),
    ...messageField(modelProto.opsetImport, integerField(operatorSetIdProto.version, opsetVersion)),
  ]);
}

/** c = op(a) · op(b) in float32: inputs `a`, `b`, output `c`. */
export function buildGemmModel(options: { transposeA: boolean; transposeB: boolean }): Uint8Array {
  const attributes = { transA: options.transposeA ? 1 : 0, transB: options.transposeB ? 1 : 0 };
  return model(
    'gemm',
    [node('Gemm', ['a', 'b'], 'c', attributes)],
    [matrixInfo('a', float32Type), matrixInfo('b', float32Type)],
    matrixInfo('c', float32Type),
  );
}

/** c = aᵀ · a: float32 input `a`, float64 output `c`, products and sums in float64. */
export function buildGramModel(): Uint8Array {
  return model(
    'gram',
    [
      node('Cast', ['a'], 'wide', { to: float64Type }),
      node('Gemm', ['wide', 'wide'], 'c', { transA: 1, transB: 0 }),
    ],
    [matrixInfo('a', float32Type)],
    matrixInfo('c', float64Type),
  );
}

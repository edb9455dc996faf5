import { expect, test } from 'vitest';
import { keyValueSize, parameterCountOf, parseParameterCount, shapeFor } from './model-shape.js';
import { tensorsOf } from './tensors.js';

test('7B, 13B and 70B are the published Llama 2, 8B is Llama 3', () => {
  expect(shapeFor(7e9)).toEqual({
    hiddenSize: 4096,
    intermediateSize: 11_008,
    layerCount: 32,
    headCount: 32,
    keyValueHeadCount: 32,
    vocabularySize: 32_000,
  });
  // As transformers counts them.
  expect(parameterCountOf(shapeFor(7e9))).toBe(6_738_415_616);
  expect(parameterCountOf(shapeFor(13e9))).toBe(13_015_864_320);
  expect(parameterCountOf(shapeFor(70e9))).toBe(68_976_648_192);
  expect(parameterCountOf(shapeFor(8e9))).toBe(8_030_261_248);
});

test('1B has the widths of TinyLlama, with grouped-query attention', () => {
  const model = shapeFor(1e9);
  expect(model).toMatchObject({
    hiddenSize: 2048,
    intermediateSize: 5632,
    headCount: 32,
    keyValueHeadCount: 4,
  });
  expect(keyValueSize(model)).toBe(256);
  expect(parameterCountOf(shapeFor(1.1e9))).toBe(1_100_048_384);
});

test('every count of half a million or more has a shape within 5 %, whole heads and the tensors it counts', () => {
  for (let wanted = 5e5; wanted < 2e11; wanted *= 1.07) {
    const model = shapeFor(wanted);
    const count = parameterCountOf(model);
    expect(Math.abs(count / wanted - 1)).toBeLessThanOrEqual(0.05);
    expect(model.hiddenSize % model.headCount).toBe(0);
    expect(model.headCount % model.keyValueHeadCount).toBe(0);
    const sum = tensorsOf(model).reduce((total, { shape }) => total + shape.reduce((x, y) => x * y, 1), 0);
    expect(sum).toBe(count);
  }
});

test('a count below the smallest shape is refused', () => {
  expect(() => shapeFor(1000)).toThrow(
    new RangeError(
      'expected a parameter count of at least 111808 that some Llama shape comes near, got 1000',
    ),
  );
});

test('counts are numbers with K, M, B or T', () => {
  expect(['2000000', '125M', '1.1b', '7B', '0.5T', '300k'].map(parseParameterCount)).toEqual([
    2e6, 125e6, 1.1e9, 7e9, 5e11, 3e5,
  ]);
  for (const text of ['', '0', '-1B', '1G', 'B', '1e9', '1 000', '9999999T']) {
    expect(() => parseParameterCount(text)).toThrow(TypeError);
  }
});

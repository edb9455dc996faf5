import fc from 'fast-check';
import { expect, it } from 'vitest';
import { compareCodePoints } from '../../formats/compare-code-points.js';

it('code-point order is the order of the UTF-8 bytes', () => {
  // Either side of the surrogates and of U+FFFF.
  const unit = fc.constantFrom('a', 'b', '\ud7ff', '\ue000', '～', '\uffff', '\u{10000}', '😀', '\u{10ffff}');
  const text = fc.string({ unit, maxLength: 4 });
  fc.assert(
    fc.property(text, text, (left, right) => {
      expect(Math.sign(compareCodePoints(left, right))).toBe(
        Buffer.compare(Buffer.from(left), Buffer.from(right)),
      );
    }),
  );
});

it('a character over U+FFFF sorts behind U+FF5E, unlike in UTF-16 order', () => {
  expect(compareCodePoints('😀', '～')).toBeGreaterThan(0);
  expect('😀' < '～').toBe(true);
});

it('a prefix sorts first', () => {
  expect(compareCodePoints('layer', 'layer.0')).toBeLessThan(0);
});

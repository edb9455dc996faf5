import { describe, expect, test } from 'vitest';
import { STYLE } from '../../../src/serve/pages/style.js';

/** Values of the variables, those of the nth `:root` over those of the first. */
function colors(scheme: 'light' | 'dark' | 'print'): Record<string, string> {
  const blocks = [...STYLE.matchAll(/:root \{([^}]*)\}/g)].map((match) =>
    Object.fromEntries([...match[1]!.matchAll(/(--\w+): (#[0-9a-f]+)/g)].map((each) => [each[1]!, each[2]!])),
  );
  expect(blocks).toHaveLength(3);
  return { ...blocks[0], ...blocks[['light', 'dark', 'print'].indexOf(scheme)] };
}

/** WCAG 2.2, "relative luminance" and "contrast ratio". */
function contrast(a: string, b: string): number {
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x);
  return (high! + 0.05) / (low! + 0.05);
}

function luminance(color: string): number {
  const digits =
    color.length === 4 ? [...color.slice(1)].map((digit) => digit + digit).join('') : color.slice(1);
  const [red, green, blue] = [0, 2, 4].map((at) => {
    const value = Number.parseInt(digits.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red! + 0.7152 * green! + 0.0722 * blue!;
}

describe.each(['light', 'dark', 'print'] as const)('the colours of %s', (scheme) => {
  const of = colors(scheme);

  test.each(['--text', '--quiet', '--link'])('%s reaches the contrast of AA on every ground', (name) => {
    for (const ground of ['--page', '--raised']) {
      expect(contrast(of[name]!, of[ground]!)).toBeGreaterThanOrEqual(4.5);
    }
  });

  test.each(['--lane', '--node'])('%s reaches the contrast of AA for drawings', (name) => {
    expect(contrast(of[name]!, of['--page']!)).toBeGreaterThanOrEqual(3);
  });
});

test('the style loads nothing, and cannot end its element', () => {
  expect(STYLE).not.toMatch(/url\(|@import|@font-face|</i);
});

test('every variable that is used is set', () => {
  const set = new Set([...STYLE.matchAll(/(--\w+):/g)].map((match) => match[1]));
  const used = new Set([...STYLE.matchAll(/var\((--\w+)\)/g)].map((match) => match[1]));
  expect(used).toEqual(set);
});

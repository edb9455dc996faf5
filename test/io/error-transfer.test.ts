/** Errors on their way between threads: class, code, fields and cause arrive. */
import { describe, expect, it } from 'vitest';
import {
  BudgetError,
  CheckpointMismatchError,
  CodecError,
  ConflictError,
  EreError,
  FormatError,
  IntegrityError,
  IoError,
  isEreError,
  LimitError,
  NotFoundError,
  UnsupportedError,
} from '../../formats/errors.js';
import { fromTransferredError, toTransferredError } from '../../src/io/error-transfer.js';

/** What arrives in the other thread. */
const sent = (error: unknown) => fromTransferredError(structuredClone(toTransferredError(error)));

const errors = [
  new EreError('ERE_ABORTED', 'aborted'),
  new FormatError('ere', 'broken', { file: 'a.ere', offset: 12, tensor: 'w' }),
  new UnsupportedError('codec "x"', 'unknown'),
  new LimitError('too long', 10, 11),
  new IntegrityError('chunk 3', 'a', 'b'),
  new CheckpointMismatchError('wrong', { tensor: 'w', expected: 'BF16 [2]', found: 'F32 [2]' }),
  new CodecError('dense', 'short'),
  new BudgetError('too small', 10, 20),
  new NotFoundError('none'),
  new ConflictError('there'),
  new IoError('full'),
  new TypeError('expected a, got b'),
  new RangeError('expected 1, got 2'),
];

describe('an error in another thread', () => {
  for (const error of errors) {
    it(`${error.name} is of its class, with every field`, () => {
      const found = sent(error);
      expect(Object.getPrototypeOf(found)).toBe(Object.getPrototypeOf(error));
      expect(found.name).toBe(error.name);
      expect(found.message).toBe(error.message);
      expect(found.stack).toBe(error.stack);
      expect({ ...found }).toEqual({ ...error });
      if (error instanceof EreError) expect(isEreError(found, error.code)).toBe(true);
    });
  }

  it('keeps its causes, each of its class, and does not follow a loop forever', () => {
    const system = Object.assign(new Error('ENOSPC'), { code: 'ENOSPC', errno: -28 });
    const found = sent(new IoError('full', { cause: new FormatError('ere', 'inner', { cause: system }) }));
    expect(found.cause).toBeInstanceOf(FormatError);
    const { cause } = found.cause as Error;
    expect(cause).toMatchObject({ message: 'ENOSPC', code: 'ENOSPC', errno: -28 });

    const loop = new Error('round');
    loop.cause = loop;
    let depth = 0;
    for (let error: Error | undefined = sent(loop); error !== undefined; error = error.cause as Error)
      depth++;
    expect(depth).toBeLessThan(10);
  });

  it('of an unknown class is an Error with its name', () => {
    const found = sent(new DOMException('stopped', 'AbortError'));
    expect(found).toBeInstanceOf(Error);
    expect(found).toMatchObject({ name: 'AbortError', message: 'stopped' });
  });

  it('that holds what cannot be sent arrives without it', () => {
    const odd = Object.assign(new CodecError('dense', 'odd'), {
      run: () => 1,
      mark: Symbol('m'),
      at: { x: 1 },
    });
    expect({ ...sent(odd) }).toEqual({ name: 'CodecError', code: 'ERE_CODEC', codec: 'dense' });
  });

  it('that is no error says what was thrown', () => {
    expect(sent('only text').message).toBe('only text');
    expect(sent(undefined).message).toBe('undefined');
    expect(sent(null)).toBeInstanceOf(Error);
  });
});

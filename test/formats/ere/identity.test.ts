import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { isDigest } from '../../../formats/ere/digest.js';
import { checkpointIdentity, type IdentifiedTensor, identityText } from '../../../formats/ere/identity.js';

const digest = (character: string) => `sha256:${character.repeat(64)}` as const;
const weight: IdentifiedTensor = { name: 'w', dtype: 'BF16', shape: [2, 3], digest: digest('a') };
const scalar: IdentifiedTensor = { name: 'a.scale', dtype: 'F32', shape: [], digest: digest('b') };

describe('checkpointIdentity', () => {
  it('is the SHA-256 of one line per tensor, by name', async () => {
    const text = `"a.scale"\tF32\t\t${digest('b')}\n"w"\tBF16\t2,3\t${digest('a')}\n`;
    expect(identityText([weight, scalar])).toBe(text);
    const hex = createHash('sha256').update(text).digest('hex');
    expect(await checkpointIdentity([weight, scalar])).toBe(`sha256:${hex}`);
  });

  it('does not depend on the order of tensors', async () => {
    expect(await checkpointIdentity([weight, scalar])).toBe(await checkpointIdentity([scalar, weight]));
  });

  it('does not depend on who computes the SHA-256', async () => {
    const node = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest();
    expect(await checkpointIdentity([weight], node)).toBe(await checkpointIdentity([weight]));
  });

  it('changes with name, dtype, shape and digest', async () => {
    const changes = [{ name: 'v' }, { dtype: 'F16' }, { shape: [3, 2] }, { digest: digest('c') }] as const;
    const identities = await Promise.all(
      [{}, ...changes].map((change) => checkpointIdentity([{ ...weight, ...change }])),
    );
    expect(new Set(identities).size).toBe(5);
  });

  it('of no tensors is the SHA-256 of nothing', async () => {
    expect(await checkpointIdentity([])).toBe(`sha256:${createHash('sha256').digest('hex')}`);
  });

  it('names with tabs and line feeds cannot imitate other tensors', () => {
    const forged = { ...weight, name: `a.scale"\tF32\t\t${digest('b')}\n"w` };
    expect(identityText([forged]).split('\n')).toHaveLength(2);
  });

  it('refuses a name that occurs twice and a digest that is none', async () => {
    await expect(checkpointIdentity([weight, weight])).rejects.toThrow(
      'expected unique tensor names, got "w" twice',
    );
    await expect(checkpointIdentity([{ ...weight, digest: 'sha256:' }])).rejects.toThrow(RangeError);
  });
});

it('a digest has 64 lower-case digits and nothing around them', () => {
  expect(isDigest(digest('0'))).toBe(true);
  for (const text of [digest('A'), `${digest('0')}\n`, digest('0').slice(0, -1), 'md5:00', 7]) {
    expect(isDigest(text)).toBe(false);
  }
});

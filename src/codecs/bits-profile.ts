/**
 * Width of the factor entries by component: one width for all, or a list whose last width goes on.
 * Delta-CoMe's 8/3/2 bands are such a list: [8, 8, 3, 3, …, 3, 2].
 */
export type BitsProfile = number | readonly number[];

/** Bits of an entry of component k, counted from the strongest. */
export function bitsOf(profile: BitsProfile, k: number): number {
  return typeof profile === 'number' ? profile : profile[Math.min(k, profile.length - 1)]!;
}

/** The one width, or the different ones from the strongest component on: '8/3/2'. */
export function describeBits(profile: BitsProfile): number | string {
  if (typeof profile === 'number') return profile;
  const widths = profile.filter((width, k) => width !== profile[k - 1]);
  return widths.length === 1 ? widths[0]! : widths.join('/');
}

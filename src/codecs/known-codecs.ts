/** Names of the codecs this build decodes, apart from them: who only opens an archive need not load them. */
export const KNOWN_CODECS: ReadonlySet<string> = new Set([
  'coded-subspace',
  'coded-low-rank',
  'ans-dense',
  'coded-dense',
  'low-rank',
  'dense',
  'sign',
  'bytes',
  'interval',
  'interval-small',
]);

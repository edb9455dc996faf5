/**
 * Which matrices of a model read the same activations, by the names that transformer libraries give them. Their
 * residuals lie in nearly the same space of inputs, so that they can share a basis (encode-group.ts). A wrong guess
 * costs bytes at most, and the encoder holds a group against its members alone.
 */

/** Last parts of names that share an input, and those of them that do in cross-attention, where queries come from elsewhere. */
const SIBLINGS: readonly { readonly all: readonly string[]; readonly crossed?: readonly string[] }[] = [
  { all: ['q_proj', 'k_proj', 'v_proj'], crossed: ['k_proj', 'v_proj'] }, // Llama, OPT, BART, Whisper
  { all: ['query', 'key', 'value'], crossed: ['key', 'value'] }, // BERT, ViT
  { all: ['q', 'k', 'v'], crossed: ['k', 'v'] }, // T5
  { all: ['to_q', 'to_k', 'to_v'], crossed: ['to_k', 'to_v'] }, // diffusers
  { all: ['q_lin', 'k_lin', 'v_lin'] }, // DistilBERT
  { all: ['wq', 'wk', 'wv'] }, // Llama as published
  { all: ['gate_proj', 'up_proj'] },
  { all: ['w1', 'w3'] }, // gate and up of Mixtral
  { all: ['wi_0', 'wi_1'] }, // the same of T5
];

/** Parts of names of cross-attention: T5, BART, BERT as a decoder, diffusers. */
const CROSS_ATTENTION = /^(encoder_attn|EncDecAttention|cross_?attention|cross_attn|attn2)$/i;

/** Groups of two names or more, in the order of their first names, each in the order of `names`. */
export function inputGroups(names: readonly string[]): string[][] {
  const groups = new Map<string, string[]>();
  for (const name of names) {
    const key = groupOf(name);
    if (key === undefined) continue;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [name]);
    else group.push(name);
  }
  return [...groups.values()].filter((group) => group.length > 1);
}

/** What names of a group have in common; undefined where a name belongs to none. */
function groupOf(name: string): string | undefined {
  const parts = name.split('.');
  if (parts.pop() !== 'weight') return undefined;
  const last = parts.pop();
  if (last === undefined) return undefined;
  const isCrossed = parts.some((part) => CROSS_ATTENTION.test(part));
  const set = SIBLINGS.findIndex(({ all, crossed = [] }) => (isCrossed ? crossed : all).includes(last));
  return set === -1 ? undefined : [...parts, set].join('.');
}

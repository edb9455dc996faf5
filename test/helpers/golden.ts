/** The golden archives of version 1 under test/golden/v1, and what they decode to. Never regenerated. */
import { fileURLToPath } from 'node:url';

export interface GoldenArchive {
  readonly name: string;
  /** SHA-256 of the archive itself. */
  readonly archive: string;
  /** SHA-256 of every decoded file, by path. */
  readonly files: Readonly<Record<string, string>>;
}

/** Absolute path of something in a case's folder: goldenPath('dense', 'archive.ere'). */
export function goldenPath(name: string, path: string): string {
  return fileURLToPath(new URL(`../../../test/golden/v1/${name}/${path}`, import.meta.url));
}

export const GOLDEN_ARCHIVES: readonly GoldenArchive[] = [
  {
    // Shards, grown and tied, changed dtype, convolution, vector, added, removed, identical, empty; side files.
    name: 'every-case',
    archive: '881e6680c697167fdd996940ff4fbc30eededcd6dfac7a6f14bae88bc5e4ccf1',
    files: {
      'model-00001-of-00002.safetensors': '5a94f69cb54f38db5800c792896f09f6eb4935594655f932ff430be71382d858',
      'model-00002-of-00002.safetensors': 'b87907e498756a2797c95895100c822c6ff5a0e62ffca11199db7726868988ce',
      'config.json': 'e767932656fc4d5fa2964013cf6f0c47b523fdaebe00611c3455c21c912dce15',
      'model.safetensors.index.json': '73a204ccaefe94e94a695f7e7d89c13779a204628a0d114b21a0333988e3fca4',
      'text/license.txt': '2acec619355edcf49d4d6fba8add99a4da62085df403142c363ef0f71ea3e5f3',
    },
  },
  {
    // Low-rank factors of 12 bits, whose sums need more than 32: F32, F64 and F8_E4M3.
    name: 'wide-factors',
    archive: 'dd0e1573ebf4c0c9601aeb3d3967356cd14646644dc01597a893bc4704bb1e71',
    files: { 'model.safetensors': 'a45d8bd300cf6f827a828125d2fa174adec122a7644e22c740df0bd656165dca' },
  },
  {
    name: 'dense',
    archive: 'd53ad80fb8ee9893a17b8b76aa03426674f54ab0c114e35eca555563e274cd4e',
    files: { 'model.safetensors': '975c2b9857cd60dd3f7731121de08be9a112337e033c48e0c0e4005c31dd836b' },
  },
  {
    // Entropy-coded factors and dense remainders: F32, BF16 and F16.
    name: 'coded',
    archive: '8078bc6f4945b0f7c2136d79fa3aefe9051856d6391ed35e6b05379b26107f0b',
    files: { 'model.safetensors': '96461773a9ae139ea307aa9588043b353f1153ca7a009509840ec852aa7d2bf7' },
  },
  {
    // The same with a trellis for dense remainders too.
    name: 'coded-max',
    archive: '5572fc4f1d20d615cacb21f5876515e5ea8affd0e1cbd9d0d2bf45fc2588dc69',
    files: { 'model.safetensors': '93188b1e99ca6b1a168355e2205b88434ff858d2f1ad4fdecb5d3e0e195b93a3' },
  },
  {
    // Codec interval, against the base and on top of a low-rank part.
    name: 'lossless',
    archive: '544d991230da89fe6015c57c4c0ead771d06901be64f83a20939112ea46d7820',
    files: { 'model.safetensors': '57cd5a8bb8a85ca3a0b360979299df173d4f2f8b374d64854fb1914f4231f7b0' },
  },
  {
    name: 'signs',
    archive: '1c4d9f3fa8f37f74fe47f43f749d33e0e295052fd4e3c9ff362730ab274f0f03',
    files: { 'model.safetensors': 'de6507dec8e2a03d5aec1d4579c26066914bc6cf0ec663fa018d26894355b0fd' },
  },
  {
    // As every-case, with exact terms on top of two components.
    name: 'exact-on-top',
    archive: 'ada879743438bf4a4d325b528360f6eb5299c51c6a2eb52c1a1af9e8202a8108',
    files: {
      'model-00001-of-00002.safetensors': '3c3f7563d6dd7f22235b7f31f9b8cb04983f8ecd6f86b3164d1208c96cfbe88e',
      'model-00002-of-00002.safetensors': 'cc63a1098b0fe3a308112491dadf99693ef275dae8a4d7fdab97e8bd12d816a3',
      'config.json': 'e767932656fc4d5fa2964013cf6f0c47b523fdaebe00611c3455c21c912dce15',
      'model.safetensors.index.json': '73a204ccaefe94e94a695f7e7d89c13779a204628a0d114b21a0333988e3fca4',
      'text/license.txt': '2acec619355edcf49d4d6fba8add99a4da62085df403142c363ef0f71ea3e5f3',
    },
  },
  {
    // As every-case, with the first bands of eight components, the others left out.
    name: 'truncated',
    archive: '0a9d410b2394374d1d4a617fa4383903a9114f27158b88b7bc49b1bfd6b0b292',
    files: {
      'model-00001-of-00002.safetensors': '0be7f1c50c2db198a5e931e0aaceedc2e841fff2525dd455f48bbe23b20d90e0',
      'model-00002-of-00002.safetensors': 'e331e2105a324476cc80da5af36dda15dfa912d8407d673a0a82537b6aa5531b',
      'config.json': 'e767932656fc4d5fa2964013cf6f0c47b523fdaebe00611c3455c21c912dce15',
      'model.safetensors.index.json': '73a204ccaefe94e94a695f7e7d89c13779a204628a0d114b21a0333988e3fca4',
      'text/license.txt': '2acec619355edcf49d4d6fba8add99a4da62085df403142c363ef0f71ea3e5f3',
    },
  },
  {
    // Every float dtype, integers, sparse steps, wide from narrow and the other way, added: exact.
    name: 'interval',
    archive: '11f4f3e567fca2092b12854ad5a43fdf1f2aa9abaafe485495c7bbb7844fa11c',
    files: { 'model.safetensors': '94a60a3c3ad6522500acfa9f4461e0817d63e63bf1814467225628aa2cdbbb50' },
  },
  {
    // The same on top of low-rank terms, whose float32 values it sees.
    name: 'interval-on-top',
    archive: 'ae0766269a3abf656a4af5c78282812017d5576bd5e7593d6200c1732e32aa09',
    files: { 'model.safetensors': '94a60a3c3ad6522500acfa9f4461e0817d63e63bf1814467225628aa2cdbbb50' },
  },
  {
    // Low-rank parts over orthonormal bases, of columns and of rows, and free factors with a dense remainder.
    name: 'basis',
    archive: '29c9f6536f0077d0a40389ebcbd7db9fada2b53b991a3105c9c9d08ad9d655b5',
    files: { 'model.safetensors': 'd88aa4a670e48892c49c35fc008ea4ac640d6e162275c3a40b9e09222e3a5ece' },
  },
  {
    // Three matrices over one basis, in chunks that they share.
    name: 'shared-basis',
    archive: 'c93be3dda222b9301fe1d0543f636e1348ad945c4e1ae2fb434f21e81c4c5491',
    files: { 'model.safetensors': 'd47b2390c86569c5d7441a79cc0f16ba05f153a5dd3de84edfdb1933648c4af0' },
  },
  {
    // A matrix large enough for numeral systems, over a constant base.
    name: 'large',
    archive: '206068432e45d9a2054ac75dd9f809796429a7fb2a6db2f9334d574c68ac19cb',
    files: { 'model.safetensors': '97f13f010613c66a264df05f56f353a0ee067c4b793bdb95d2fa48b0ea239809' },
  },
  {
    // Rounded products with their small weights: BF16, F16, and the common rows of a grown tensor.
    name: 'merged',
    archive: 'f37fab9d26b1a2a35a4a2a6f0f8f91b1f125f6e8f9b46fb490c0b584643711c2',
    files: { 'model.safetensors': '151fe7a1dec3bef2fd5efb9a6c5e916d4691b492d54eeec50817935249e0d1ca' },
  },
  {
    // The same with exact terms on top.
    name: 'merged-on-top',
    archive: 'fdd44963e1b3a1df897f7b14f7d585a39d280ddd715ccb6d6d1669dfc7239667',
    files: { 'model.safetensors': 'fc8aa29a0e912a4d98a0c609c2e0d23699b15d559e34c7125f5d4a472bd7e283' },
  },
];

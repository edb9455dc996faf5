/**
 * The model card of a repository with an archive (huggingface.co/docs/hub/model-cards): front matter that links it to its
 * base, sizes, errors and how to rebuild. What the fine-tune's own card says follows, its front matter joined.
 */
import type { ArchiveIndex } from '../../formats/ere/archive-index.js';
import {
  formatByteLength,
  formatCount,
  formatRange,
  formatRelativeError,
  formatShare,
} from '../report/numbers.js';
import { printable } from '../report/printable.js';
import { groupTensors } from '../report/tensor-groups.js';
import type { TensorReport } from '../residual/api.js';

export interface ModelCardFacts {
  /** `user/repo`. */
  readonly repo: string;
  /** Path of the archive in the repository. */
  readonly path: string;
  readonly archiveByteLength: number;
  readonly fineTunedByteLength: number;
  /** Over all tensors with a residual; 0 when everything is exact. */
  readonly relativeError: number;
  /** `org/model` and commit. */
  readonly base: { readonly name: string; readonly revision: string };
  readonly index: ArchiveIndex;
  readonly tensors: readonly TensorReport[];
  /** The fine-tune's own card, if it has one. */
  readonly ownCard: string | undefined;
}

const TAGS = ['ere', 'residual'];
/** Fields of the front matter that are ours to say. */
const OWN_FIELDS = ['base_model', 'base_model_relation', 'library_name', 'tags'];
/** Lines of the error table; a model repeats a block, whose layers are one line. */
const MAX_ROWS = 40;

/** The text of README.md. Equal facts give equal bytes. */
export function modelCard(facts: ModelCardFacts): string {
  const own = splitCard(facts.ownCard ?? '');
  const body = own.body.trim();
  return [
    '---\n',
    `base_model: ${facts.base.name}\n`,
    'base_model_relation: finetune\n',
    'library_name: ere\n',
    'tags:\n',
    ...[...new Set([...TAGS, ...own.tags])].map((tag) => `- ${tag}\n`),
    ...own.fields,
    '---\n\n',
    `# ${facts.repo}\n\n`,
    introduction(facts),
    rebuildText(facts),
    sizeTable(facts),
    errorTable(facts),
    body === '' ? '' : `## Model card of the fine-tune\n\n${body}\n`,
  ].join('');
}

function introduction({ base, path }: ModelCardFacts): string {
  return (
    `A fine-tune of [${base.name}](https://huggingface.co/${base.name}/tree/${base.revision}), stored by ERE as its residual ` +
    `against that base, \`${path}\`. With the base at hand the whole model is rebuilt from it, and every tensor is checked ` +
    'against its SHA-256.\n\n'
  );
}

function rebuildText({ repo, path }: ModelCardFacts): string {
  const file = path.includes('/') || path !== 'model.ere' ? ` --file ${path}` : '';
  return (
    '## Rebuild it\n\n```\n' +
    `npx ere pull ${repo}${file} -o model\n` +
    '```\n\nThe base comes from the local Hub cache, or is downloaded to it. The folder is one that ' +
    '`AutoModelForCausalLM.from_pretrained("model")` and the like load.\n\n'
  );
}

function sizeTable(facts: ModelCardFacts): string {
  const { archiveByteLength, fineTunedByteLength, relativeError, base, index } = facts;
  const loss =
    relativeError === 0
      ? 'none: bit for bit'
      : `relative error ${formatRelativeError(relativeError)} of the residual, kept energy ${formatShare(1 - relativeError ** 2)}`;
  const rows = [
    ['archive', `${formatByteLength(archiveByteLength)} (${archiveByteLength} bytes)`],
    ['weights', `${formatByteLength(fineTunedByteLength)} (${fineTunedByteLength} bytes)`],
    ['share', formatShare(archiveByteLength / fineTunedByteLength)],
    ['loss', loss],
    ['base', `${base.name} at commit ${base.revision}`],
    ['base digest', `${index.base.digest}, ${formatCount(index.base.tensorCount, 'tensor')}`],
    ['decoded digest', index.decoded.digest],
  ];
  return `## Sizes and loss\n\n| | |\n| --- | --- |\n${rows.map((row) => markdownRow(row)).join('')}\n`;
}

function errorTable({ tensors }: ModelCardFacts): string {
  const groups = groupTensors(tensors);
  const rows = groups
    .slice(0, MAX_ROWS)
    .map((group) =>
      markdownRow([
        `\`${group.pattern}\``,
        group.case,
        String(group.tensors.length),
        formatByteLength(group.byteLength),
        formatRange(group.relativeError[0], group.relativeError[1], (error) =>
          error === 0 ? 'exact' : formatRelativeError(error),
        ),
      ]),
    );
  const rest = groups.length - rows.length;
  return (
    '| tensors | case | count | bytes | relative error |\n| --- | --- | --: | --: | --: |\n' +
    `${rows.join('')}${rest > 0 ? `\nand ${formatCount(rest, 'group')} more.\n` : ''}\n`
  );
}

/** Cells may hold foreign names: what would end a cell or begin markup is taken out. */
function markdownRow(cells: readonly string[]): string {
  const cleaned = cells.map((cell) =>
    printable(cell).replace(/[|<>]/g, (sign) => `&#${sign.charCodeAt(0)};`),
  );
  return `| ${cleaned.join(' | ')} |\n`;
}

/** A card's front matter, less what we say ourselves, and what follows it. */
function splitCard(card: string): {
  readonly fields: readonly string[];
  readonly tags: readonly string[];
  readonly body: string;
} {
  const match = /^---\r?\n([\s\S]*?)\r?\n---\r?\n?/.exec(card);
  if (match === null) return { fields: [], tags: [], body: card };
  const fields: string[] = [];
  const tags: string[] = [];
  let field = '';
  for (const line of match[1]!.split(/\r?\n/)) {
    const key = /^([A-Za-z0-9_-]+):(.*)$/.exec(line);
    if (key !== null) field = key[1]!;
    if (field === 'tags') tags.push(...tagsOf(key === null ? line : key[2]!));
    else if (field !== '' && !OWN_FIELDS.includes(field)) fields.push(`${line}\n`);
  }
  return { fields, tags, body: card.slice(match[0].length) };
}

/** '- tag' of a list in lines, or 'a, b' of one in brackets; only plain words, which need no quotes. */
function tagsOf(line: string): string[] {
  const items = line
    .replace(/^\s*-\s*/, '')
    .replace(/[[\]]/g, '')
    .split(',');
  return items
    .map((item) => item.trim().replace(/^(['"])(.*)\1$/, '$2'))
    .filter((item) => /^[\w.:+/-]+$/.test(item));
}

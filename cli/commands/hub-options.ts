/** What push and pull have in common. */
import type { Command } from 'commander';
import { InvalidArgumentError } from 'commander';
import { parseRepoRevision } from '../../src/hub/repo-name.js';
import type { HubOptions } from '../../src/hub/settings.js';
import type { CliContext } from '../context.js';
import { withoutUndefined } from './shared-options.js';

export interface HubFlags {
  readonly token?: string;
}

/** --token; before `addRunOptions`. */
export function addTokenOption(command: Command): Command {
  return command.option(
    '--token <token>',
    'token of the Hub (default: $HF_TOKEN, else what `hf auth login` stored); others see it in the list of processes',
  );
}

/** The options of the library that flags and environment give. */
export function hubOptions({ environment }: CliContext, { token }: HubFlags): HubOptions {
  return withoutUndefined<HubOptions>({ environment, token });
}

/** 'org/model' or 'org/model@revision', as it is. */
export function parseRepo(text: string): string {
  return checked(text, () => parseRepoRevision(text));
}

/** 'user/repo' without a revision. */
export function parseTarget(text: string): string {
  return checked(text, () => {
    if (parseRepoRevision(text).revision !== undefined)
      throw new RangeError('expected user/repo, and the branch by --branch');
  });
}

function checked(text: string, check: () => unknown): string {
  try {
    check();
    return text;
  } catch (error) {
    if (error instanceof RangeError) throw new InvalidArgumentError(error.message.replace(/^e/, 'E'));
    throw error;
  }
}

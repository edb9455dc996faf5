/** How errors read on stderr: one line for people, or with --json one object with the error's typed fields. */
import type { CommanderError } from 'commander';
import { AbortedError, EreError, isEreError } from '../../formats/errors.js';
import { printableLines } from '../../src/report/printable.js';
import type { ExitCode } from '../exit-codes.js';

/** An interruption while a store was worked on, which may leave objects in it that nothing needs. */
export class StoreInterruptedError extends EreError {
  constructor(cause: unknown) {
    super('ERE_ABORTED', 'interrupted', { cause });
  }
}

/** Text for an error that ended a command. Stack traces appear for unexpected errors only: those are bugs. */
export function errorText(error: unknown, code: ExitCode, json: boolean): string {
  const message = messageOf(error, code);
  if (json) return `${JSON.stringify({ code, message, ...typedFields(error), ...causeOf(error) })}\n`;
  if (code !== 'ERE_UNEXPECTED') return `error: ${printableLines(message)}\n`;
  const trace = error instanceof Error && error.stack !== undefined ? error.stack : message;
  return `error: unexpected: ${printableLines(message)}\nThis is a bug in ere; the trace may help to report it.\n${printableLines(trace)}\n`;
}

/** Text for a command line that was not understood, with any help that commander wrote for it. */
export function usageErrorText(error: CommanderError, help: string, json: boolean): string {
  const isHelp = error.code === 'commander.help';
  const message = isHelp ? 'expected a command' : error.message.replace(/^error: /, '');
  if (json) return `${JSON.stringify({ code: 'ERE_USAGE' satisfies ExitCode, message })}\n`;
  return isHelp ? help : `error: ${printableLines(message)}\nRun with --help to see what is possible.\n`;
}

function messageOf(error: unknown, code: ExitCode): string {
  const left = leftBy(error);
  if (code === 'ERE_ABORTED') return `interrupted; ${left}`;
  if (code === 'ERE_TERMINATED') return `terminated; ${left}`;
  return error instanceof Error ? error.message : String(error);
}

/** What an interruption leaves behind. */
function leftBy(error: unknown): string {
  if (error instanceof AbortedError) {
    return `finished tensors are in ${error.unfinished}: go on with --resume, or remove it`;
  }
  if (error instanceof StoreInterruptedError)
    return 'the store is sound, and `ere gc` removes what was left in it';
  return 'nothing was written';
}

/** The fields that the error's class declares: format, tensor, expected, … */
function typedFields(error: unknown): Record<string, unknown> {
  if (!isEreError(error)) return {};
  const { name: _name, code: _code, ...fields } = error;
  return fields;
}

function causeOf(error: unknown): { cause?: string } {
  if (!(error instanceof Error) || error.cause === undefined) return {};
  return { cause: error.cause instanceof Error ? error.cause.message : String(error.cause) };
}

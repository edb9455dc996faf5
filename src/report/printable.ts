/**
 * Names in a checkpoint or an archive are untrusted: one that holds escape sequences could rewrite
 * what a terminal shows. Everything of foreign origin passes through here before it is printed.
 */

// C0 and C1 controls, and the Unicode controls that reorder text or break lines.
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const UNPRINTABLE = /[\u0000-\u001f\u007f-\u009f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** `text` with control characters written as \u escapes; a single line. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, escapeCharacter);
}

/** Like `printable`, and keeps line breaks. */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n');
}

function escapeCharacter(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

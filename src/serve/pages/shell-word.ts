/** Commands that readers copy: a foreign name in one is one word of it, whatever it holds. */

/** `text` as a word of a POSIX shell: as it is, else in single quotes. */
export function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

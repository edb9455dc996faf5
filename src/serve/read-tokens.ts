/** The tokens that give access: of a file, one a line, or of the environment, so that none stands in a list of processes. */
import { NotFoundError } from '../../formats/errors.js';
import { readSmallFile } from '../io/file-source.js';

const MAX_BYTE_LENGTH = 1 << 20;

/** @throws NotFoundError for a file that is not there, or a file or variable that holds none: that is no way to say that all may read */
export async function readServeTokens(
  file: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): Promise<string[]> {
  if (file === undefined) {
    const token = environment.ERE_SERVE_TOKEN?.trim();
    if (token === '')
      throw new NotFoundError(
        '$ERE_SERVE_TOKEN is set, but empty; unset it where everybody is to have access',
      );
    return token === undefined ? [] : [token];
  }
  const lines = new TextDecoder().decode(await readSmallFile(file, MAX_BYTE_LENGTH)).split('\n');
  const tokens = lines.map((line) => line.trim()).filter((line) => line !== '' && !line.startsWith('#'));
  if (tokens.length === 0) throw new NotFoundError(`${file}: holds no token, so nobody would have access`);
  return tokens;
}

/** The commands as people run them, against a double of the Hub: what they print, and that the token is not in it. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { TOKEN } from '../helpers/hub-double.js';
import { BASE, filesOf, withHub } from '../helpers/hub-setting.js';
import { BIN, spawnNodeWith } from '../helpers/project.js';

test('push by --token and pull without a token: the folder has the files of the fine-tune, bit for bit', async () => {
  await withHub(async ({ hub, tuned, folder, options }) => {
    const { HF_ENDPOINT, HF_HOME } = options.environment as Record<string, string>;
    const ere = (...argv: string[]) =>
      spawnNodeWith({ HF_ENDPOINT: HF_ENDPOINT!, HF_HOME: HF_HOME!, HF_TOKEN: '' }, folder, BIN, ...argv);
    const target = ['--to', 'user/tuned', '--base', BASE, '--lossless'];
    const pushed = await ere('push', tuned, ...target, '--token', TOKEN);
    expect(pushed.stderr).toBe('');
    expect(pushed.status).toBe(0);
    expect(pushed.stdout).toContain('user/tuned: ');
    const pulled = await ere('pull', 'user/tuned', '-o', 'out');
    expect(pulled.stderr).toBe('');
    expect(pulled.stdout).toContain('exact: bit for bit');
    const { '.ere-pull.json': _record, ...files } = await filesOf(join(folder, 'out'));
    expect(files).toEqual(await filesOf(tuned));
    hub.tokens.set(TOKEN, 'expired');
    const expired = await ere('push', tuned, ...target, '--token', TOKEN);
    expect(expired.status).toBe(13);
    expect(expired.stderr).toMatch(/^error: .*expired.*log in/);
    for (const { stdout, stderr } of [pushed, pulled, expired]) expect(stdout + stderr).not.toContain(TOKEN);
  });
});

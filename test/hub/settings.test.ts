import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { isRepoName, parseRepoRevision } from '../../src/hub/repo-name.js';
import { hubSettings } from '../../src/hub/settings.js';
import { withTempFolder, writeTree } from '../helpers/temp-folder.js';

describe('hubSettings', () => {
  test('the token is the option, else HF_TOKEN, else the token file, else none', async () => {
    await withTempFolder(async (folder) => {
      await writeTree(folder, { token: 'hf_file\n', 'other/token': 'hf_other', 'empty/token': '\n' });
      const tokenOf = async (environment: Record<string, string>, token?: string) =>
        (await hubSettings({ environment, ...(token && { token }) })).token;
      expect(await tokenOf({ HF_HOME: folder, HF_TOKEN: 'hf_variable' }, 'hf_option')).toBe('hf_option');
      expect(await tokenOf({ HF_HOME: folder, HF_TOKEN: 'hf_variable' })).toBe('hf_variable');
      expect(await tokenOf({ HF_HOME: folder })).toBe('hf_file');
      expect(await tokenOf({ HF_HOME: folder, HF_TOKEN_PATH: join(folder, 'other', 'token') })).toBe(
        'hf_other',
      );
      expect(await tokenOf({ HF_HOME: join(folder, 'empty') })).toBeUndefined();
      expect(await tokenOf({ HF_HOME: join(folder, 'nowhere') })).toBeUndefined();
    });
  });

  test('a damaged token or endpoint is refused without being repeated', async () => {
    const environment = { HF_HOME: '/nowhere' };
    const refused = [
      { token: 'hf_se\ncret' },
      { hubUrl: 'https://user:secret@hub.test' },
      { hubUrl: 'ftp://secret' },
    ];
    for (const options of refused) {
      const error = await hubSettings({ environment, ...options }).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ code: 'ERE_HUB' });
      expect((error as Error).message).not.toContain('cret');
    }
  });

  test('cache and endpoint follow the variables of huggingface_hub', async () => {
    const home = { HF_HOME: '/hf', HF_TOKEN: 'hf_x' };
    const settings = (environment: Record<string, string>) => hubSettings({ environment });
    expect(await settings(home)).toMatchObject({
      hubUrl: 'https://huggingface.co',
      cacheFolder: join('/hf', 'hub'),
      isOffline: false,
    });
    expect(
      await settings({
        ...home,
        HF_HUB_CACHE: '/c',
        HF_ENDPOINT: 'http://mirror:8080/hf/',
        HF_HUB_OFFLINE: 'yes',
      }),
    ).toMatchObject({ hubUrl: 'http://mirror:8080/hf', cacheFolder: '/c', isOffline: true });
    expect(await settings({ HF_TOKEN: 'hf_x', XDG_CACHE_HOME: '/xdg' })).toMatchObject({
      cacheFolder: join('/xdg', 'huggingface', 'hub'),
    });
  });
});

test('a repository is owner/name, with a revision behind @', () => {
  expect(parseRepoRevision('org/model-1.0')).toEqual({ repo: 'org/model-1.0', revision: undefined });
  expect(parseRepoRevision('org/model@refs/pr/3')).toEqual({ repo: 'org/model', revision: 'refs/pr/3' });
  for (const text of [
    'model',
    'a/b/c',
    '../x',
    'a/..',
    'a/b@',
    'a/b@../c',
    'a/b@-x',
    'a/b c',
    'a/b?x',
    'a/b.git@',
    '',
  ])
    expect(() => parseRepoRevision(text)).toThrow(RangeError);
  expect(isRepoName('a/b.git')).toBe(false);
});

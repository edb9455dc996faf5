/** The project as its users have it: the built executable, and a folder in which `ere` is installed. */
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { tinylm } from './tinylm.js';

export const PROJECT_ROOT = fileURLToPath(new URL('../../..', import.meta.url));
export const BIN = join(PROJECT_ROOT, 'dist/cli/bin.js');

export interface SpawnResult {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs node with arguments in a folder and collects what it prints. */
export function spawnNode(cwd: string, ...argv: string[]): Promise<SpawnResult> {
  return spawnNodeWith({}, cwd, ...argv);
}

/** As `spawnNode`, with other environment variables beside those of this process. */
export function spawnNodeWith(
  environment: Readonly<Record<string, string>>,
  cwd: string,
  ...argv: string[]
): Promise<SpawnResult> {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, ...environment };
    const child = spawn(process.execPath, argv, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let [stdout, stderr] = ['', ''];
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (status) => resolve({ status, stdout, stderr }));
  });
}

/** Runs `ere` in a folder. */
export function spawnEre(cwd: string, ...argv: string[]): Promise<SpawnResult> {
  return spawnNode(cwd, BIN, ...argv);
}

export interface Workspace {
  readonly folder: string;
  remove(): Promise<void>;
}

/** A temporary folder that holds the models `base` and `tuned`, and has `ere` installed. */
export async function createWorkspace(): Promise<Workspace> {
  const folder = await mkdtemp(join(tmpdir(), 'ere-workspace-'));
  await symlink(tinylm('base'), join(folder, 'base'));
  await symlink(tinylm('python'), join(folder, 'tuned'));
  await mkdir(join(folder, 'node_modules'));
  await symlink(PROJECT_ROOT, join(folder, 'node_modules', 'ere'));
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

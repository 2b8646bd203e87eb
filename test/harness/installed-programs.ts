import { spawnSync } from 'node:child_process';
import { test } from 'vitest';
import { findCommand, findPostgres, findPython } from './commands.ts';
import { SKIP_TITLE } from './summary-reporter.ts';

const finders = {
  'redis-server': () => findCommand('redis-server'),
  chromium: () => findCommand('chromium', 'chromium-browser', 'google-chrome'),
  faketime: () => findCommand('faketime'),
  openssl: () => findCommand('openssl'),
  curl: () => findCommand('curl'),
  jq: () => findCommand('jq'),
  caddy: () => findCommand('caddy'),
  postgresql: () => findPostgres(),
  nginx: () => findCommand('nginx'),
  pgbouncer: () => findCommand('pgbouncer'),
  'systemd-analyze': () => findCommand('systemd-analyze'),
  turnserver: () => findCommand('turnserver'),
  turnutils_stunclient: () => findCommand('turnutils_stunclient'),
  turnutils_uclient: () => findCommand('turnutils_uclient'),
  promtool: () => findCommand('promtool'),
  prometheus: () => findCommand('prometheus'),
  unshare: () => findUnshare(),
  script: () => findCommand('script'),
  'python3-aiohttp': () => findPython('aiohttp'),
  'python3-socketio': () => findPython('socketio', 'aiohttp'),
} as const;

export type Program = keyof typeof finders;

/**
 * Returns whether tests must be skipped because a program that they run is not installed:
 * `describe.skipIf(isMissing('redis-server'))('…', …)`. The end of the run reports the skip by the program's name.
 * Throws instead if REQUIRE_ALL is set, which fails the file.
 */
export function isMissing(...names: readonly Program[]): boolean {
  const missing = names.filter((name) => findProgram(name) === undefined);
  if (missing.length === 0) return false;
  const list = missing.join(', ');
  if (isAllRequired()) throw new Error(`REQUIRE_ALL is set and this is not installed: ${list}`);
  test.skip(`${SKIP_TITLE}${list}`);
  return true;
}

/** Returns whether REQUIRE_ALL is set: no test may be skipped. */
export function isAllRequired(): boolean {
  const required = process.env.REQUIRE_ALL;
  return required !== undefined && required !== '' && required !== '0';
}

/**
 * Returns the path of a program, or of a Python with the modules. Throws if it is not installed.
 * @public
 */
export function requireProgram(name: Program): string {
  const path = findProgram(name);
  if (path === undefined) throw new Error(`${name} is not installed`);
  return path;
}

/** TEST_WITHOUT lists programs, separated by commas, that count as missing. */
function findProgram(name: Program): string | undefined {
  const without = process.env.TEST_WITHOUT?.split(',') ?? [];
  return without.includes(name) ? undefined : finders[name]();
}

/** Finds `unshare`, if the system lets the current user mount filesystems in a namespace. */
function findUnshare(): string | undefined {
  const path = findCommand('unshare');
  return path !== undefined && spawnSync(path, ['-rm', 'true'], { stdio: 'ignore' }).status === 0
    ? path
    : undefined;
}

import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** The path of the first of these programs that there is. */
export function findCommand(...names: readonly string[]): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/bin', '/usr/local/bin', '/usr/sbin'];
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable);
}

/** The path of a Python that has the modules. Debian's first: another one earlier in PATH does not see what apt installs. */
export function findPython(...modules: readonly string[]): string | undefined {
  const script = `import ${modules.join(', ')}`;
  return ['/usr/bin/python3', findCommand('python3')]
    .filter((path) => path !== undefined)
    .find((path) => spawnSync(path, ['-c', script], { stdio: 'ignore' }).status === 0);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

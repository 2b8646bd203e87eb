import { spawnSync } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';

/** Returns the path of the first of these programs that is installed. */
export function findCommand(...names: readonly string[]): string | undefined {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/bin', '/usr/local/bin', '/usr/sbin'];
  return names.flatMap((name) => folders.map((folder) => join(folder, name))).find(isExecutable);
}

/** Returns the path of a Python with the modules. Debian's first: another one in PATH does not see what apt installs. */
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

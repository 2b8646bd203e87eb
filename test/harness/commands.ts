import { spawnSync } from 'node:child_process';
import { accessSync, constants, globSync } from 'node:fs';
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

/** Returns the folder of the newest PostgreSQL of Debian's packages that has a server and its clients. */
export function findPostgres(): string | undefined {
  return globSync('/usr/lib/postgresql/*/bin')
    .toSorted((a, b) => a.localeCompare(b, 'en', { numeric: true }))
    .findLast((folder) =>
      ['postgres', 'initdb', 'pg_dump'].every((name) => isExecutable(join(folder, name))),
    );
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

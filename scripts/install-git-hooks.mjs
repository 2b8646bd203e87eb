// Points git at .githooks; npm runs it as a part of `prepare`. It uses no dependency, because `npm ci --omit=dev` runs it too, and
// never fails an installation: a tarball and a Docker build have no .git, and some machines have no git.
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const git = (...args) => execFileSync('git', args, { cwd: root, stdio: ['ignore', 'pipe', 'ignore'] });

if (existsSync(join(root, '.git')) && !process.env.CI) {
  try {
    if (!hasHooksPath()) git('config', 'core.hooksPath', '.githooks');
  } catch {
    console.warn('The git hooks in .githooks could not be installed.');
  }
}

/** Returns whether the developer has already set a hooks path, in this repository or globally. */
function hasHooksPath() {
  try {
    git('config', '--get', 'core.hooksPath');
    return true;
  } catch {
    return false;
  }
}

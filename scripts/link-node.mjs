// Plain JavaScript, because it runs on the Node that runs npm. Parley needs Node 24, which npm installs as an optional
// platform package. Workaround for npm 9 to 11.0: with several such packages they create no .bin entry, and remove one that
// exists before the installation ends. So npm runs this as a part of `prepare` of the root, which comes last, and is not run
// where the package is installed.
import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, mkdirSync, readlinkSync, symlinkSync, unlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const NEEDED_MAJOR = 24;
const modules = join(dirname(dirname(fileURLToPath(import.meta.url))), 'node_modules');
const packageName = `node-${process.platform}-${process.arch}`;
const binary = join(modules, packageName, 'bin', 'node');
const link = join(modules, '.bin', 'node');
const target = join('..', packageName, 'bin', 'node');

if (canRun(binary)) {
  createLink();
} else {
  removeLink();
  const major = Number(process.versions.node.split('.')[0]);
  if (major < NEEDED_MAJOR) {
    console.error(
      [
        `Parley needs Node ${NEEDED_MAJOR} or newer, and this is Node ${process.versions.node}.`,
        `The package ${packageName} provides it, but it is not installed or does not run on this system`,
        '(it exists for Linux with glibc on x64 and arm64; --omit=optional excludes it).',
        `Install Node ${NEEDED_MAJOR} yourself, then run npm ci again.`,
      ].join('\n'),
    );
    process.exit(1);
  }
}

/** Returns whether the binary runs. On systems without glibc the file exists but does not run. */
function canRun(file) {
  if (!existsSync(file)) return false;
  try {
    return execFileSync(file, ['--version'], { stdio: ['ignore', 'pipe', 'ignore'] })
      .toString()
      .startsWith('v');
  } catch {
    return false;
  }
}

function readLinkTarget() {
  try {
    return lstatSync(link).isSymbolicLink() ? readlinkSync(link) : '(a file)';
  } catch {
    return undefined;
  }
}

function createLink() {
  const current = readLinkTarget();
  if (current === target) return;
  if (current !== undefined) unlinkSync(link);
  mkdirSync(dirname(link), { recursive: true });
  symlinkSync(target, link);
}

/** Removes the link, if an earlier installation created it. */
function removeLink() {
  if (readLinkTarget() === target) unlinkSync(link);
}

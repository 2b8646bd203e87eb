// Regenerates all generated files, and fails if any of them was stale.
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';

const root = dirname(import.meta.dirname);

/** The files that each generator in this folder writes. */
const generators: Readonly<Record<string, string | readonly string[]>> = {
  'print-schema.ts': 'schema.graphql',
  'print-admin-schema.ts': 'admin.graphql',
  'print-configuration.ts': 'docs/configuration.md',
  'print-settings.ts': 'src/settings.generated.ts',
  'print-legacy-channels.ts': 'docs/legacy-channels.md',
  'print-authorization.ts': 'docs/authorization.md',
  'print-asyncapi.ts': 'asyncapi.yaml',
  'print-channels-page.ts': 'src/page/channels.html',
  'print-client.ts': 'client/index.js',
  'print-client-types.ts': 'client/index.d.ts',
  'print-socket-io-types.ts': 'client/socket.io.d.ts',
  'print-possible-types.ts': [
    'examples/possible-types.json',
    'examples/chat-react-apollo/src/possible-types.json',
  ],
  'print-examples.ts': 'docs/clients.md',
  'print-page-examples.ts': 'src/page/demo/examples.json',
  'print-scaling.ts': 'docs/scaling.md',
};
const typedOperations = 'src/bridge/contract/operations.generated.ts';

const scripts = readdirSync(import.meta.dirname).filter((name) => name.startsWith('print-'));
for (const name of scripts) {
  if (generators[name] === undefined)
    throw new Error(`scripts/${name} has no row in the table of scripts/check-drift.ts`);
}

const stale: string[] = [];
// The order matters: typed operations are generated from the printed schema.
for (const [name, files] of Object.entries(generators)) {
  if (scripts.includes(name))
    regenerate([files].flat(), () => runCommand(process.execPath, [join('scripts', name)]));
}
regenerate([typedOperations], () => runCommand('graphql-codegen', ['--config', 'codegen.ts', '--silent']));

if (stale.length > 0) {
  console.error(`Stale files were regenerated, commit them: ${stale.join(', ')}`);
  process.exitCode = 1;
}

/** Regenerates files, and adds those to `stale` whose content has changed. */
function regenerate(files: readonly string[], run: () => void): void {
  const previousContents = files.map(readContent);
  run();
  for (const [index, file] of files.entries()) {
    if (file.endsWith('.md')) runCommand('prettier', ['--log-level', 'warn', '--write', file]);
    if (readContent(file) !== previousContents[index]) stale.push(file);
    else console.log(`${file} is up to date`);
  }
}

function readContent(file: string): string | undefined {
  const path = join(root, file);
  return existsSync(path) ? readFileSync(path, 'utf8') : undefined;
}

/** Runs a command of node_modules/.bin, which npm adds to PATH. */
function runCommand(command: string, args: string[]): void {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (error !== undefined) throw error;
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} exited with ${status}`);
}

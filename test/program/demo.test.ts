import { expect, test } from 'vitest';
import { createGraphqlClient } from '../../src/testing/index.ts';
import { createDataFolder } from '../harness/data-folder.ts';
import { PROGRAM_ENV, SERVER_COMMAND, startProgram, waitUntilListening } from '../harness/program.ts';

const LOGIN =
  'mutation ($email: String!, $password: String!) { login(email: $email, password: $password) { token } }';
const ANN = { email: 'ann@example.com', password: 'parley' };
const BOB = { email: 'bob@example.com', password: 'parley' };

/** Runs the program during the work, and returns its log lines about demo accounts. */
async function runProgram(
  env: Record<string, string>,
  work: (url: string) => Promise<unknown> = async () => undefined,
): Promise<Record<string, unknown>[]> {
  await using program = startProgram(SERVER_COMMAND, {
    ...PROGRAM_ENV,
    PORT: '0',
    ...env,
  });
  await work(await waitUntilListening(program.child));
  program.child.kill('SIGTERM');
  expect(await program.exited).toEqual([0, null]);
  return program.printed.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter(({ msg }) => String(msg).startsWith('demo accounts'));
}

async function logIn(url: string, account: { email: string; password: string }) {
  await using client = createGraphqlClient(url);
  const { data, errors } = await client.send(LOGIN, account);
  return {
    token: (data as { login?: { token: string } } | null | undefined)?.login?.token,
    code: errors?.[0]?.extensions?.['code'],
  };
}

async function isAccepted(url: string, token = ''): Promise<boolean> {
  await using client = createGraphqlClient(url, token);
  return (await client.send('{ me { __typename } }')).errors === undefined;
}

const readContentType = async (url: string) =>
  (await fetch(`${url}/graphql`, { headers: { accept: 'text/html' } })).headers.get('content-type') ?? '';

test('every start logs the demo accounts with the published password, and locks them if other machines can connect', async () => {
  await using folder = await createDataFolder();
  const [loopback, allInterfaces] = [
    { DATA_DIR: folder.path, HOST: '127.0.0.1' },
    { DATA_DIR: folder.path, HOST: '0.0.0.0' },
  ];
  const emails = [ANN.email, BOB.email];
  let token: string | undefined;
  const firstLines = await runProgram(loopback, async (url) => {
    ({ token } = await logIn(url, ANN));
    expect(await readContentType(url)).toMatch('text/html');
  });
  expect(firstLines).toMatchObject([
    { level: 40, accounts: emails, msg: expect.stringMatching('published') as string },
  ]);

  const lockedLines = await runProgram(allInterfaces, async (url) => {
    expect(await logIn(url, ANN)).toEqual({ token: undefined, code: 'UNAUTHENTICATED' });
    expect(await isAccepted(url, token)).toBe(false);
    expect(await readContentType(url)).not.toMatch('text/html');
  });
  expect(lockedLines).toMatchObject([
    { level: 40, accounts: emails, msg: expect.stringMatching('locked') as string },
  ]);

  const restartedLines = await runProgram(loopback, async (url) => {
    await using ann = createGraphqlClient(url, token ?? '');
    await ann.run('mutation { changePassword(current: "parley", next: "a secret one") { id } }');
  });
  expect(restartedLines).toMatchObject([{ accounts: emails }]);

  const changedLines = await runProgram(allInterfaces, async (url) => {
    expect(await logIn(url, { ...ANN, password: 'a secret one' })).toMatchObject({ code: undefined });
    expect(await logIn(url, BOB)).toMatchObject({ code: 'UNAUTHENTICATED' });
  });
  expect(changedLines).toMatchObject([{ accounts: [BOB.email] }]);
}, 180_000);

test('a database used without demo accounts receives them later only with DEMO=on', async () => {
  await using folder = await createDataFolder();
  const create =
    'mutation { createAccount(input: { email: "cy@example.com", password: "a secret one", firstName: "C", lastName: "Y" }) { token } }';
  const linesWithoutDemo = await runProgram({ DATA_DIR: folder.path, DEMO: 'off' }, async (url) => {
    await using client = createGraphqlClient(url);
    await client.run(create);
  });
  expect(linesWithoutDemo).toEqual([]);
  expect(await runProgram({ DATA_DIR: folder.path })).toEqual([]);
  expect(await runProgram({ DATA_DIR: folder.path, DEMO: 'on' })).toHaveLength(1);
  // `off` locks existing demo accounts.
  const linesWithDemoOff = await runProgram({ DATA_DIR: folder.path, DEMO: 'off' }, async (url) => {
    expect(await logIn(url, ANN)).toMatchObject({ code: 'UNAUTHENTICATED' });
  });
  expect(linesWithDemoOff).toMatchObject([{ msg: expect.stringMatching('locked') as string }]);
}, 180_000);

test.for(['0.0.0.0', '::', '192.0.2.1', 'example.com', '127.0.0.1.example.com'])(
  'demo accounts are rejected at start on %s',
  async (host) => {
    await using program = startProgram(SERVER_COMMAND, {
      ...PROGRAM_ENV,
      HOST: host,
      DEMO: 'on',
    });
    expect(await program.exited).toEqual([1, null]);
    expect(program.printed.stderr).toContain('DEMO: can be on only where HOST is a loopback address');
  },
);

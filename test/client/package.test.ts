import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const run = promisify(execFile);
const ROOT = resolve(import.meta.dirname, '../..');

/** Creates a project that depends on the packed package and on packages of this repository. */
async function openProject(packages: readonly string[]) {
  const folder = await mkdtemp(join(tmpdir(), 'parley-test-'));
  const { stdout } = await run('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', folder], {
    cwd: ROOT,
  });
  const [{ filename }] = JSON.parse(stdout) as [{ filename: string }];
  const modulesFolder = join(folder, 'node_modules');
  await mkdir(modulesFolder);
  await run('tar', ['-xzf', join(folder, filename), '-C', modulesFolder]);
  await run('mv', [join(modulesFolder, 'package'), join(modulesFolder, 'parley')]);
  for (const name of packages) {
    await mkdir(dirname(join(modulesFolder, name)), { recursive: true });
    await symlink(join(ROOT, 'node_modules', name), join(modulesFolder, name));
  }
  await writeFile(join(folder, 'package.json'), '{ "type": "module" }');
  return {
    folder,
    modulesFolder,
    write: (name: string, text: string) => writeFile(join(folder, name), text),
    run: (command: string, ...args: string[]) => run(command, args, { cwd: folder }),
    [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }),
  };
}

const CONSUMER = {
  'graphql-ws': `
    import { createClient } from 'graphql-ws';
    import { resumable, type ResumableOptions } from 'parley/client';
    const options: ResumableOptions = {
      onState: ({ status, cursor, payload }) => console.log(status satisfies 'live' | 'behind', cursor?.length, payload.query),
      onExpired: async ({ code, oldest }) => (code === 'CURSOR_EXPIRED' ? oldest : null),
      retryDelay: (attempt) => attempt * 1_000,
      shouldRetry: () => undefined,
    };
    const client = resumable(createClient({ url: 'ws://127.0.0.1:9', lazy: true }), options);
    const stop: () => void = client.subscribe<{ n: number }>({ query: '{ n }' }, {
      next: ({ data }) => console.log(data?.n.toFixed()),
      error: (problem) => console.log(problem),
      complete() {},
    });
    stop();
    const results = client.iterate<{ n: number }>({ query: '{ n }', variables: { after: null } });
    export const first: Promise<number | undefined> = results.next().then(({ value }) => value?.data?.n);
    client.on('connected', (socket, payload) => console.log(socket, payload));
    client.terminate();
    await client.dispose();
    // @ts-expect-error Unknown option.
    resumable(client, { onStates() {} });
    // @ts-expect-error Not a client.
    resumable({ subscribe() {} });`,
  'graphql-sse': `
    import { createClient } from 'graphql-sse';
    import { resumable } from 'parley/client';
    const client = resumable(createClient({ url: 'http://127.0.0.1:9' }));
    const single = resumable(createClient<true>({ url: 'http://127.0.0.1:9', singleConnection: true }));
    const stop: () => void = client.subscribe<{ n: number }>(
      { query: '{ n }' },
      { next: ({ data }) => console.log(data?.n.toFixed()), error: console.log, complete() {} },
      { connected: (again) => console.log(again satisfies boolean) },
    );
    stop();
    for await (const { data } of single.iterate<{ n: number }>({ query: '{ n }' })) console.log(data?.n.toFixed());
    client.dispose();
    // @ts-expect-error Only in graphql-ws.
    client.terminate();`,
  'socket.io-client': `
    import { io, type Socket } from 'socket.io-client';
    import type { ClientToServerEvents, Payload, ServerToClientEvents } from 'parley/socket.io';
    const socket: Socket<ServerToClientEvents, ClientToServerEvents> = io('http://127.0.0.1:9', { autoConnect: false });
    socket.on('connect', () => {
      socket.emit('authenticate', { token: 'x' });
      socket.emit('join_conversation', { conversation_id: 1, after_message_id: undefined });
      socket.emit('message', { conversation_id: '1', text_message: 'hi', files: ['a.png'] }, () => console.log('handled'));
      socket.emit('webrtc_stun_info');
      socket.emit('webrtc_turn_info', () => console.log('handled'));
      socket.emit('webrtc_forward', { email: 'bob@example.com', message: { sdp: '' } });
    });
    socket.on('message', (frame) => {
      if ('event' in frame) return console.log(frame.event satisfies 'update' | 'delete', frame.message_id.toFixed());
      console.log(frame.message.content, frame.status satisfies 'done' | 'pending');
      if ('sender' in frame) console.log('email' in frame.sender ? frame.sender.isOnline : frame.sender.is_online);
    });
    socket.on('circle', (frame) => {
      if (frame.event === 'kick') console.log(frame.user, frame.from);
      if (frame.event === 'device') console.log(frame.type satisfies 'update' | 'connect' | 'disconnect');
    });
    socket.on('success', (reply) => console.log(typeof reply === 'string' ? reply : reply.message_id.toFixed()));
    socket.on('error', (text) => console.log(text === 'User not found'));
    export type MessageFrame = Payload<'message'>;
    // @ts-expect-error Unknown channel.
    socket.emit('mesage', { conversation_id: 1 });
    // @ts-expect-error Missing field.
    socket.emit('writing', { conversation_id: 1 });
    // @ts-expect-error Wrong type of a field.
    socket.emit('join_circle', { circle_id: true });
    // @ts-expect-error Unknown field.
    socket.emit('message', { conversation_id: 1, text: 'hi' });
    // @ts-expect-error Unknown channel.
    socket.on('messages', () => undefined);
    // @ts-expect-error Unknown text.
    socket.on('error', (text) => text === 'Not found');
    // @ts-expect-error Not in the frame of a media to be uploaded.
    socket.on('message', (frame) => frame.media_list);`,
};

for (const [library, source] of Object.entries(CONSUMER)) {
  test(`the types compile in a project with ${library} only`, { timeout: 120_000 }, async () => {
    await using project = await openProject([library, 'graphql']);
    await project.write('app.ts', source);
    for (const resolution of ['nodenext', 'bundler']) {
      const module = resolution === 'nodenext' ? 'nodenext' : 'es2022';
      const options = {
        strict: true,
        noEmit: true,
        module,
        moduleResolution: resolution,
        target: 'es2022',
      };
      const compilerOptions = {
        ...options,
        types: [],
        lib: ['es2022', 'dom'],
        exactOptionalPropertyTypes: true,
      };
      await project.write('tsconfig.json', JSON.stringify({ compilerOptions, files: ['app.ts'] }));
      const tsc = join(ROOT, 'node_modules/.bin/tsc');
      const { stdout } = await project.run(tsc).catch((error: { stdout: string }) => error);
      expect({ resolution, stdout }).toEqual({ resolution, stdout: '' });
    }
  });
}

test('the packed module runs as plain JavaScript and contains its exports', { timeout: 60_000 }, async () => {
  await using project = await openProject(['graphql-ws', 'graphql', 'graphql-sse']);
  await project.write(
    'app.js',
    `import { resumable } from 'parley/client';
     import { createClient } from 'graphql-ws';
     import { createClient as createStreamClient } from 'graphql-sse';
     const webSocketImpl = class { static CONNECTING = 0; static OPEN = 1; static CLOSING = 2; static CLOSED = 3; };
     const clients = [createClient({ url: 'ws://127.0.0.1:9', webSocketImpl }), createStreamClient({ url: 'http://127.0.0.1:9' })];
     for (const client of clients.map((it) => resumable(it))) {
       console.log(typeof client.subscribe, typeof client.iterate, typeof client.on);
       await client.dispose();
     }`,
  );
  const { stdout } = await project.run(process.execPath, 'app.js');
  expect(stdout).toBe('function function function\nfunction function undefined\n');
  const bundle = await readFile(join(project.modulesFolder, 'parley/client/index.js'), 'utf8');
  expect(bundle).not.toMatch(/\bimport\b.*\bfrom\b|\brequire\(|\bprocess\b|\bBuffer\b/);
  const manifest = JSON.parse(await readFile(join(project.modulesFolder, 'parley/package.json'), 'utf8')) as {
    private: boolean;
    exports: Record<string, string | Record<string, string>>;
  };
  expect(manifest.private).toBe(true);
  for (const entry of Object.values(manifest.exports)) {
    // Those of dist/ are built before: test/package checks them.
    for (const file of (typeof entry === 'string' ? [entry] : Object.values(entry)).filter(
      (path) => !path.startsWith('./dist/'),
    ))
      expect(await readFile(join(project.modulesFolder, 'parley', file), 'utf8')).not.toBe('');
  }
});

import { afterAll, beforeAll, expect, test } from 'vitest';
import { loginTestDevice } from '../../src/testing/index.ts';
import type { Named, TestAccount, TestGateway } from '../../src/testing/index.ts';
import { loadClient } from '../clients/load.ts';
import type { ClientVersion, LegacySocket } from '../clients/load.ts';
import { testApp } from '../harness/app.ts';
import { family, sendMessage } from '../harness/story.ts';

// The unmodified clients of every generation, on every transport, against the whole product.

const CHANNELS = [
  'success',
  'error',
  'message',
  'media',
  'writing',
  'circle',
  'conversation',
  'webrtc_config',
  'webrtc_forward',
];
const TEXT = 'Ça va, été ? 日本 😀';

const versions = ['1.0.6', '1.3.6', '1.7.4', '2.5.0', '4.8.4'] as const;
const pairs = versions.flatMap((version) =>
  (['polling', 'websocket', 'upgrade'] as const).map((transport) => [version, transport] as const),
);
type Transport = (typeof pairs)[number][1];

let app: TestGateway;
let ann: TestAccount;
let bob: TestAccount;
let device: { username: string; password: string };
let circle: Named;
let conversation: Named;
let talk: { conversation_id: number };

beforeAll(async () => {
  app = await testApp();
  ({ ann, bob, circle, conversation } = await family(app));
  const { addDevice } = await ann.graphql.run<{ addDevice: typeof device }>(
    'mutation ($id: ID!) { addDevice(circleId: $id, name: "Kitchen") { username password } }',
    { id: circle.id },
  );
  device = addDevice;
  talk = { conversation_id: conversation.legacyId };
});

afterAll(async () => {
  await app[Symbol.asyncDispose]();
});

interface Client extends Disposable {
  readonly socket: LegacySocket;
  /** The next frame, as `channel payload`. */
  next(): Promise<readonly [string, unknown]>;
  nextOn(channel: string): Promise<unknown>;
}

function connect(
  version: ClientVersion,
  transport: Transport,
  onConnect: (socket: LegacySocket) => void,
): Client {
  const transports = transport === 'upgrade' ? (['polling', 'websocket'] as const) : [transport];
  const socket = loadClient(version)(app.url, { transports, forceNew: true, reconnection: false });
  const heard: (readonly [string, unknown])[] = [];
  let wake = () => {};
  for (const channel of CHANNELS) {
    socket.on(channel, (payload) => {
      heard.push([channel, payload]);
      wake();
    });
  }
  socket.on('connect', () => onConnect(socket));
  const next = async () => {
    while (heard.length === 0) await new Promise<void>((resolve) => (wake = resolve));
    return heard.shift() as readonly [string, unknown];
  };
  return {
    socket,
    next,
    async nextOn(wanted) {
      for (;;) {
        const [channel, payload] = await next();
        if (channel === wanted) return payload;
        if (channel === 'error') throw new Error(String(payload));
      }
    },
    [Symbol.dispose]: () => void socket.close(),
  };
}

test.for(pairs)(
  '%s over %s: the chat screen, all of it sent in one tick on connecting',
  async ([version, transport]) => {
    // Nothing on the wire tells a WebSocket of 1.0 from one of 1.3, and 1.0 encodes what it sends twice.
    const text = version === '1.0.6' && transport !== 'polling' ? 'Hello' : TEXT;
    using client = connect(version, transport, (socket) => {
      socket.emit('authenticate', { token: bob.token });
      socket.emit('join_circle', { circle_id: 0 });
      socket.emit('join_circle', { circle_id: circle.legacyId });
      socket.emit('join_conversation', talk);
      for (let n = 0; n < 5; n += 1) socket.emit('message', { ...talk, text_message: `${text} ${n}` });
    });
    expect(await client.next()).toEqual(['success', 'User authenticated']);
    expect(await client.next()).toEqual(['error', "Vous n'appartenez pas a ce cercle"]);
    expect(await client.next()).toEqual([
      'success',
      `Vous avez rejoins le cercle : circle_${circle.legacyId}`,
    ]);
    const rest = [];
    while (rest.length < 11) {
      const frame = await client.next();
      if (frame[0] !== 'circle') rest.push(frame);
    }
    expect(rest[0]).toEqual([
      'success',
      `Vous avez rejoins la conversation : conversation_${conversation.legacyId}`,
    ]);
    expect(rest.slice(1).map(([channel]) => channel)).toEqual(
      Array.from({ length: 5 }, () => ['success', 'message']).flat(),
    );
    const contents = rest.flatMap(([channel, payload]) =>
      channel === 'message' ? [(payload as { message: { content: string } }).message.content] : [],
    );
    expect(contents).toEqual([0, 1, 2, 3, 4].map((n) => `${text} ${n}`));

    await sendMessage(ann, conversation, TEXT);
    expect(await client.nextOn('message')).toMatchObject({
      message: { content: TEXT, medias: 0 },
      sender: { email: 'ann@example.com' },
      status: 'done',
    });
  },
);

test.for(pairs)(
  '%s over %s: the call screen, and a hang-up that closes at once',
  async ([version, transport]) => {
    using callee = connect('4.8.4', 'websocket', (socket) =>
      socket.emit('authenticate', { token: ann.token }),
    );
    await callee.nextOn('success');
    using caller = connect(version, transport, (socket) => {
      socket.emit('authenticate', { token: bob.token });
      socket.emit('webrtc_credentials');
      socket.emit('webrtc_stun_info');
      socket.emit('webrtc_forward', { user_id: ann.legacyId, message: 'CALLING' });
    });
    expect(await caller.nextOn('webrtc_config')).toEqual({
      username: expect.any(String),
      password: expect.any(String),
    });
    expect(await caller.nextOn('webrtc_config')).toEqual([{ domain: 'webrtc.neo.ovh', ip: '', port: 3478 }]);
    expect(await caller.nextOn('success')).toBe('Message forwarded');
    const message = (text: string) => ({
      sender_id: bob.legacyId,
      is_device: false,
      content: { user_id: ann.legacyId, message: text },
    });
    expect(await callee.nextOn('webrtc_forward')).toEqual(message('CALLING'));
    caller.socket.emit('webrtc_forward', { user_id: ann.legacyId, message: 'QUITTING' });
    caller.socket.close();
    expect(await callee.nextOn('webrtc_forward')).toEqual(message('QUITTING'));
  },
);

test.for(pairs)(
  '%s over %s: acknowledgements, files, writing, a device, and the end of a session',
  async ([version, transport]) => {
    await using machine = await loginTestDevice(app.url, device.username, device.password);
    using client = connect(version, transport, (socket) =>
      socket.emit('authenticate', { token: machine.token }),
    );
    await client.nextOn('success');
    await access(true);
    client.socket.emit('join_conversation', talk);
    await client.nextOn('success');
    const acknowledged = new Promise<unknown[]>((resolve) => {
      client.socket.emit('writing', { ...talk, is_writing: true }, (...values: unknown[]) => resolve(values));
    });
    expect(await client.nextOn('success')).toBe('Writing sent');
    expect(await client.nextOn('writing')).toEqual({ ...talk, device: true, is_writing: true });
    expect(await acknowledged).toEqual([]);
    client.socket.emit('message', { ...talk, files: ['a.png'] });
    const { media_list: list } = (await client.nextOn('media')) as {
      media_list: { identifier: string; uploaded: string }[];
    };
    expect(list).toMatchObject([{ identifier: 'a.png', uploaded: 'False', filename: null }]);
    expect(await client.nextOn('success')).toMatchObject({ received: true });
    expect(await client.nextOn('message')).toMatchObject({
      status: 'pending',
      message: { device_id: machine.legacyId },
    });

    const disconnected = new Promise((resolve) => client.socket.on('disconnect', resolve));
    await machine.graphql.run('mutation { logout }');
    expect(await client.next()).toEqual(['error', 'User not found']);
    expect(await disconnected).toBe('io server disconnect');
  },
);

const access = (allowed: boolean) =>
  ann.graphql.run(
    'mutation ($id: ID!, $allowed: Boolean!) { setDeviceAccess(conversationId: $id, allowed: $allowed) { id } }',
    {
      id: conversation.id,
      allowed,
    },
  );

import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { expect, test, vi } from 'vitest';
import * as circles from '../../src/domain/circles.ts';
import type { Deps } from '../../src/domain/deps.ts';
import * as devices from '../../src/domain/devices.ts';
import { openPresence } from '../../src/domain/presence.ts';
import type { PresenceChange } from '../../src/domain/presence.ts';
import { createPresence } from '../../src/services/presence.ts';
import type { Presence } from '../../src/services/presence.ts';
import { createBus } from '../../src/events/bus.ts';
import type { Bus } from '../../src/events/bus.ts';
import { circleTopic, refOf } from '../../src/events/event.ts';
import type { CircleId } from '../../src/ids.ts';
import { createLogger } from '../../src/log.ts';
import { testDeps } from '../harness/deps.ts';
import { circleOf, deviceOf, person, sessionOf } from '../harness/seed.ts';
import type { ActorRef } from '../../src/actor.ts';
import { actorKey } from '../../src/actor.ts';

const log = createLogger('silent');
const code = (value: string, details: object = {}) =>
  expect.objectContaining({ code: value, details: expect.objectContaining(details) as object });

const range = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

interface Node extends AsyncDisposable {
  readonly id: string;
  readonly bus: Bus;
  readonly presence: Presence;
}

/** Several processes on one database, which tell each other what they publish. */
async function testNodes({ graceMs = 0, beatMs = 60_000 } = {}) {
  const deps = await testDeps();
  const [ann, bob] = [await person(deps, 'ann'), await person(deps, 'bob')];
  const circle = await circleOf(deps, ann, bob);
  await using stack = new AsyncDisposableStack();
  const buses: Bus[] = [deps.bus];
  const addNode = async (): Promise<Node> => {
    const bus = createBus(log);
    bus.connect({
      send: (notices) => {
        for (const other of buses) if (other !== bus) for (const notice of notices) other.receive(notice);
      },
    });
    buses.push(bus);
    const id = crypto.randomUUID();
    const presence = await createPresence({
      db: deps.db,
      bus,
      log,
      graceMs,
      nodeId: id,
      alone: false,
      beatMs,
    });
    return { id, bus, presence, [Symbol.asyncDispose]: () => presence[Symbol.asyncDispose]() };
  };
  const nodes = [stack.use(await addNode()), stack.use(await addNode())] as const;
  const heard = listen(deps.bus, circle.id);
  const owned = stack.move();
  return {
    deps,
    nodes,
    ann,
    bob,
    circle,
    heard,
    addNode,
    isOnline: async (actor: ActorRef) => (await deps.presence.isOnline([actor])).has(actorKey(actor)),
    async [Symbol.asyncDispose]() {
      await owned.disposeAsync();
      await deps[Symbol.asyncDispose]();
    },
  };
}

/** What is announced in a circle, as `+user:1` and `-user:1`. */
function listen(bus: Bus, circleId: CircleId): string[] {
  const heard: string[] = [];
  bus.subscribe(circleTopic(circleId), (notice) => {
    if (notice.kind !== 'ephemeral' || notice.ephemeral.type !== 'presence') return;
    const { actor, online } = notice.ephemeral;
    expect(actor.online).toBe(online);
    heard.push(`${online ? '+' : '-'}${actorKey(refOf(actor))}`);
  });
  return heard;
}

/** Makes a node look as if it had not been heard of for a while. */
const silence = (deps: Deps, nodeId: string, seconds: number) =>
  sql`update nodes set seen_at = clock_timestamp() - ${seconds} * interval '1 second' where id = ${nodeId}`.execute(
    deps.db,
  );

test('whoever opens a connection is online when that is done, and offline after the last one', async () => {
  await using t = await testNodes();
  const { ann, nodes, heard } = t;
  const key = actorKey(ann.actor);
  const leases = [];
  for (const [place, kind] of (['graphql', 'legacy', 'signals'] as const).entries()) {
    leases.push(await nodes[place % 2 === 0 ? 0 : 1].presence.open(kind, ann.actor));
    expect(await t.isOnline(ann.actor)).toBe(true);
  }
  for (const lease of leases) {
    expect(await t.isOnline(ann.actor)).toBe(true);
    await lease.close();
    await lease.close();
  }
  expect(await t.isOnline(ann.actor)).toBe(false);
  expect(heard).toEqual([`+${key}`, `-${key}`]);
});

test('it is announced in all circles of a user, and in the circle of a device', async () => {
  await using t = await testNodes();
  const { deps, ann, bob, nodes, heard } = t;
  const other = await circleOf(deps, bob, ann);
  const device = await deviceOf(deps, other, bob);
  const elsewhere = listen(deps.bus, other.id);
  const leases = [
    await nodes[0].presence.open('graphql', ann.actor),
    await nodes[1].presence.open('legacy', device),
  ];
  for (const lease of leases) await lease.close();
  const [user, machine] = [actorKey(ann.actor), actorKey(device)];
  expect(heard).toEqual([`+${user}`, `-${user}`]);
  expect(elsewhere).toEqual([`+${user}`, `+${machine}`, `-${user}`, `-${machine}`]);
});

test('a change of connections within the grace period is announced to nobody', async () => {
  await using t = await testNodes({ graceMs: 60_000 });
  const { ann, nodes, heard } = t;
  let lease = await nodes[0].presence.open('legacy', ann.actor);
  for (const turn of range(4)) {
    await lease.close();
    expect(await t.isOnline(ann.actor)).toBe(true);
    lease = await nodes[turn % 2 === 0 ? 1 : 0].presence.open('legacy', ann.actor);
  }
  await lease.close();
  expect(heard).toEqual([`+${actorKey(ann.actor)}`]);
});

test('the grace period begins anew with each connection that ends, on whichever node', async () => {
  await using t = await testNodes({ graceMs: 1_000 });
  const { ann, nodes, heard } = t;
  const first = await nodes[0].presence.open('legacy', ann.actor);
  const second = await nodes[1].presence.open('legacy', ann.actor);
  await first.close();
  await sleep(700);
  await second.close();
  await sleep(600);
  expect(heard).toEqual([`+${actorKey(ann.actor)}`]);
  await vi.waitFor(() => expect(heard).toHaveLength(2), { timeout: 5_000 });
});

test('the grace period does not make an account reachable', async () => {
  await using t = await testNodes({ graceMs: 60_000 });
  const { ann, nodes } = t;
  const legacy = await nodes[0].presence.open('legacy', ann.actor);
  const signals = await nodes[0].presence.open('signals', ann.actor);
  expect(await nodes[1].presence.newestLegacyLease(ann.actor)).toBe(legacy.leaseId);
  expect(await nodes[1].presence.hasSignals(ann.actor)).toBe(true);
  await legacy.close();
  await signals.close();
  expect(await nodes[1].presence.newestLegacyLease(ann.actor)).toBeNull();
  expect(await nodes[1].presence.hasSignals(ann.actor)).toBe(false);
  expect(await t.isOnline(ann.actor)).toBe(true);
});

test('the newest legacy connection is the last to have been authenticated, on any node, that still lives', async () => {
  await using t = await testNodes();
  const { ann, bob, nodes } = t;
  const leases = [];
  for (const turn of range(4))
    leases.push(await nodes[turn % 2 === 0 ? 0 : 1].presence.open('legacy', ann.actor));
  await nodes[0].presence.open('graphql', ann.actor);
  await nodes[0].presence.open('legacy', bob.actor);
  const newest = () => nodes[0].presence.newestLegacyLease(ann.actor);
  expect(leases.map(({ leaseId }) => leaseId).toSorted((a, b) => a - b)).toEqual(
    leases.map(({ leaseId }) => leaseId),
  );
  for (const lease of leases.toReversed()) {
    expect(await newest()).toBe(lease.leaseId);
    await lease.close();
  }
  expect(await newest()).toBeNull();
});

test('however connections come and go at once, each change is announced once and the last one is true', async () => {
  await using t = await testNodes();
  const { ann, nodes, heard } = t;
  const key = actorKey(ann.actor);
  for (const round of range(10)) {
    const leases = await Promise.all(
      range(12).map(async (number) => {
        const lease = await nodes[number % 2 === 0 ? 0 : 1].presence.open('graphql', ann.actor);
        if (number % 3 !== round % 3) await lease.close();
        return lease;
      }),
    );
    expect(await t.isOnline(ann.actor)).toBe(true);
    await Promise.all(leases.map((lease) => lease.close()));
    expect(await t.isOnline(ann.actor)).toBe(false);
  }
  expect(heard.length % 2).toBe(0);
  expect(new Set(heard)).toEqual(new Set([`+${key}`, `-${key}`]));
  expect(heard.filter((change) => change.startsWith('+'))).toHaveLength(heard.length / 2);
  expect(heard.at(-1)).toBe(`-${key}`);
});

test('opening races with the last closing of another node: whoever is connected is online', async () => {
  await using t = await testNodes();
  const { ann, nodes } = t;
  let held = await nodes[0].presence.open('graphql', ann.actor);
  for (const turn of range(40)) {
    const [, next] = await Promise.all([
      held.close(),
      nodes[turn % 2 === 0 ? 1 : 0].presence.open('graphql', ann.actor),
    ]);
    expect(await t.isOnline(ann.actor)).toBe(true);
    held = next;
  }
  await held.close();
  expect(await t.isOnline(ann.actor)).toBe(false);
});

test('a dead node takes its connections along, and the survivors announce it once', async () => {
  await using t = await testNodes({ beatMs: 30 });
  const { deps, ann, bob, nodes, heard, addNode } = t;
  const dead = await addNode();
  await dead.presence.open('legacy', ann.actor);
  await dead.presence.open('legacy', bob.actor);
  await nodes[0].presence.open('graphql', bob.actor);
  // It cannot say that it lives: its process was killed.
  await dead[Symbol.asyncDispose]();
  await silence(deps, dead.id, 14);
  await sleep(200);
  expect(heard).toHaveLength(2);
  await silence(deps, dead.id, 16);
  await vi.waitFor(() => expect(heard).toHaveLength(3), { timeout: 5_000 });
  await sleep(200);
  expect(heard).toEqual([`+${actorKey(ann.actor)}`, `+${actorKey(bob.actor)}`, `-${actorKey(ann.actor)}`]);
  expect(await t.isOnline(bob.actor)).toBe(true);
});

test('connections of a node that is silent do not make anybody reachable', async () => {
  await using t = await testNodes();
  const { deps, ann, nodes } = t;
  await nodes[0].presence.open('legacy', ann.actor);
  await nodes[0].presence.open('signals', ann.actor);
  await silence(deps, nodes[0].id, 16);
  expect(await nodes[1].presence.newestLegacyLease(ann.actor)).toBeNull();
  expect(await nodes[1].presence.hasSignals(ann.actor)).toBe(false);
});

test('a node that stops leaves its accounts online for the grace period, for the survivors to announce', async () => {
  await using t = await testNodes({ beatMs: 30, graceMs: 500 });
  const { ann, bob, heard, addNode, nodes } = t;
  const stopping = await addNode();
  await stopping.presence.open('legacy', ann.actor);
  await stopping.presence.open('legacy', bob.actor);
  await stopping[Symbol.asyncDispose]();
  expect(await nodes[0].presence.newestLegacyLease(ann.actor)).toBeNull();
  const back = await nodes[0].presence.open('legacy', bob.actor);
  expect(await t.isOnline(ann.actor)).toBe(true);
  await vi.waitFor(() => expect(heard).toHaveLength(3), { timeout: 5_000 });
  expect(heard.at(-1)).toBe(`-${actorKey(ann.actor)}`);
  expect(await t.isOnline(bob.actor)).toBe(true);
  await back.close();
});

test('a node that was taken for dead comes back with all its connections', async () => {
  await using t = await testNodes({ beatMs: 30 });
  const { deps, ann, nodes, heard } = t;
  const lease = await nodes[0].presence.open('legacy', ann.actor);
  await deps.db.deleteFrom('nodes').where('id', '=', nodes[0].id).execute();
  await sql`update presence set online = false`.execute(deps.db);
  await vi.waitFor(async () => expect(await t.isOnline(ann.actor)).toBe(true), { timeout: 5_000 });
  expect(await nodes[1].presence.newestLegacyLease(ann.actor)).toBe(lease.leaseId);
  await lease.close();
  expect(await t.isOnline(ann.actor)).toBe(false);
  const key = actorKey(ann.actor);
  expect(heard).toEqual([`+${key}`, `+${key}`, `-${key}`]);
});

test('it comes back at once when somebody connects', async () => {
  await using t = await testNodes();
  const { deps, ann, bob, nodes } = t;
  await nodes[0].presence.open('legacy', ann.actor);
  await deps.db.deleteFrom('nodes').where('id', '=', nodes[0].id).execute();
  await nodes[0].presence.open('legacy', bob.actor);
  expect(await t.isOnline(bob.actor)).toBe(true);
  expect(await nodes[1].presence.newestLegacyLease(ann.actor)).not.toBeNull();
});

test('alone with its database, a process that starts finds nobody online', async () => {
  await using t = await testNodes();
  const { deps, ann, bob, nodes, heard } = t;
  await nodes[0].presence.open('legacy', ann.actor);
  const options = { db: deps.db, bus: deps.bus, log, graceMs: 0, nodeId: crypto.randomUUID() };
  await using presence = await createPresence({ ...options, alone: true });
  expect(await t.isOnline(ann.actor)).toBe(false);
  expect(await presence.newestLegacyLease(ann.actor)).toBeNull();
  expect(await deps.db.selectFrom('nodes').select('id').execute()).toEqual([{ id: options.nodeId }]);
  await (await presence.open('graphql', bob.actor)).close();
  expect(heard).toHaveLength(3);
});

test('of an account that is gone nothing is announced', async () => {
  await using t = await testNodes();
  const { deps, ann, circle, nodes, heard } = t;
  const device = await deviceOf(deps, circle, ann);
  const lease = await nodes[0].presence.open('legacy', device);
  await devices.removeDevice(deps, ann.actor, { deviceId: device.id });
  await lease.close();
  expect(heard).toEqual([`+${actorKey(device)}`]);
});

test('a thousand connections that end at once cost few transactions', async () => {
  await using t = await testNodes();
  const { deps, ann, bob, nodes } = t;
  const leases = await Promise.all(
    range(300).map((number) => nodes[0].presence.open('graphql', (number % 2 === 0 ? ann : bob).actor)),
  );
  const transactions = vi.spyOn(deps.db, 'transaction');
  await Promise.all(leases.map((lease) => lease.close()));
  expect(transactions.mock.calls.length).toBeLessThan(10);
  transactions.mockRestore();
  expect(await t.isOnline(ann.actor)).toBe(false);
  expect(await deps.db.selectFrom('leases').select('id').execute()).toEqual([]);
});

test('a reader of presence first learns who is online, then of every change', async () => {
  await using t = await testNodes();
  const { deps, ann, bob, circle, nodes } = t;
  const device = await deviceOf(deps, circle, ann);
  const outsider = await person(deps, 'outsider');
  await nodes[0].presence.open('graphql', outsider.actor);
  const held = await nodes[0].presence.open('graphql', ann.actor);
  const machine = await nodes[1].presence.open('legacy', device);
  const stream = await openPresence(deps, sessionOf(bob.actor), { circleId: circle.id });
  const next = async (): Promise<string> => {
    const { value } = await stream.next();
    return value === undefined ? 'end' : changeOf(value);
  };
  expect(new Set([await next(), await next()])).toEqual(
    new Set([`+${actorKey(ann.actor)}`, `+${actorKey(device)}`]),
  );
  await held.close();
  expect(await next()).toBe(`-${actorKey(ann.actor)}`);
  await machine.close();
  expect(await next()).toBe(`-${actorKey(device)}`);
  await nodes[1].presence.open('graphql', bob.actor);
  expect(await next()).toBe(`+${actorKey(bob.actor)}`);
  await stream.return();
});

const changeOf = ({ actor, online }: PresenceChange): string =>
  `${online ? '+' : '-'}${actorKey(refOf(actor))}`;

test('only the circle sees it, and only while being in it', async () => {
  await using t = await testNodes();
  const { deps, ann, bob, circle } = t;
  const eve = await person(deps, 'eve');
  const open = (actor: ActorRef) => openPresence(deps, sessionOf(actor), { circleId: circle.id });
  await expect(open(eve.actor)).rejects.toThrow(code('NOT_FOUND'));
  await expect(openPresence(deps, sessionOf(ann.actor), { circleId: 99 as CircleId })).rejects.toThrow(
    code('NOT_FOUND'),
  );
  const stream = await open(bob.actor);
  await circles.kickFromCircle(deps, ann.actor, { circleId: circle.id, email: bob.email });
  await expect(stream.next()).rejects.toThrow(code('FORBIDDEN', { reason: 'KICKED' }));
});

test('an outage of the database does not keep anybody online for ever', async () => {
  await using t = await testNodes({ graceMs: 10 });
  const { deps, ann, nodes, heard } = t;
  const lease = await nodes[0].presence.open('graphql', ann.actor);
  const away = () => {
    throw new Error('away');
  };
  const broken = [
    vi.spyOn(deps.db, 'transaction').mockImplementation(away),
    vi.spyOn(deps.db, 'updateTable').mockImplementation(away),
  ];
  await lease.close();
  await sleep(100);
  for (const spy of broken) spy.mockRestore();
  await vi.waitFor(() => expect(heard).toHaveLength(2), { timeout: 5_000 });
  expect(await t.isOnline(ann.actor)).toBe(false);
});

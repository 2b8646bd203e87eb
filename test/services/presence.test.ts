import { sql } from 'kysely';
import { describe, expect, inject, test, vi } from 'vitest';
import * as circles from '../../src/domain/circles.ts';
import type { Deps } from '../../src/domain/deps.ts';
import * as devices from '../../src/domain/devices.ts';
import { openPresence } from '../../src/domain/presence.ts';
import type { PresenceChange } from '../../src/domain/presence.ts';
import { listLiveNodes } from '../../src/db/live-nodes.ts';
import { findReachability } from '../../src/db/leases.ts';
import { removeDeadNodes } from '../../src/db/nodes.ts';
import { VERSION } from '../../src/version.ts';
import { createPresence } from '../../src/services/presence.ts';
import type { Presence } from '../../src/services/presence.ts';
import { createBus } from '../../src/events/bus.ts';
import type { Bus } from '../../src/events/bus.ts';
import { circleTopic, actorRefOf } from '../../src/events/event.ts';
import type { CircleId } from '../../src/ids.ts';
import { createLogger } from '../../src/log.ts';
import { openTestDatabase } from '../harness/database.ts';
import { createTestDeps } from '../harness/deps.ts';
import { createFakeTimers } from '../harness/fake-timers.ts';
import { countLockWaits, lockRows } from '../harness/lock-rows.ts';
import { errorWithCode } from '../harness/matchers.ts';
import {
  createCircle,
  createDevice,
  createUser,
  createUsers,
  createSession,
} from '../harness/domain-fixtures.ts';
import type { TestUser } from '../harness/domain-fixtures.ts';
import { indexes } from '../harness/numbers.ts';
import { createLink } from '../harness/event-core.ts';
import type { ActorRef } from '../../src/actor.ts';
import { actorKey } from '../../src/actor.ts';

const log = createLogger('silent');
const INTERVAL_MS = 5_000;
/** The database may be slow; the conditions need no time to elapse. */
const POLL_OPTIONS = { interval: 5, timeout: 10_000 };

interface Node extends AsyncDisposable {
  readonly id: string;
  readonly bus: Bus;
  readonly presence: Presence;
}

/**
 * Starts two nodes on one database, with connected buses. Their heartbeats and grace periods elapse only with `advance`;
 * the database has its real clock.
 */
async function startTestNodes({ graceMs = 0 } = {}) {
  const deps = await createTestDeps();
  const [ann, bob] = await createUsers(deps, 'ann', 'bob');
  const circle = await createCircle(deps, ann, bob);
  await using stack = new AsyncDisposableStack();
  const { startTimer, advance } = createFakeTimers();
  const buses: Bus[] = [deps.bus];
  const addNode = async (): Promise<Node> => {
    const bus = createBus(log);
    bus.connect(
      createLink((notices) => {
        for (const peer of buses) if (peer !== bus) for (const notice of notices) peer.receive(notice);
      }),
    );
    buses.push(bus);
    const id = crypto.randomUUID();
    const presence = await createPresence({
      db: deps.db,
      control: deps.db,
      bus,
      log,
      graceMs,
      nodeId: id,
      nodeName: 'one',
      isOnlyProcess: false,
      startTimer,
    });
    return { id, bus, presence, [Symbol.asyncDispose]: () => presence[Symbol.asyncDispose]() };
  };
  const nodes = [stack.use(await addNode()), stack.use(await addNode())] as const;
  const published = recordPresence(deps.bus, circle.id);
  const resources = stack.move();
  return {
    deps,
    nodes,
    ann,
    bob,
    circle,
    published,
    addNode,
    advance,
    isOnline: async (actor: ActorRef) => (await deps.presence.isOnline([actor])).has(actorKey(actor)),
    async [Symbol.asyncDispose]() {
      await resources.disposeAsync();
      await deps[Symbol.asyncDispose]();
    },
  };
}

type Fixture = Awaited<ReturnType<typeof startTestNodes>>;

/** Records the presence published in a circle, as `+user:1` and `-user:1`. */
function recordPresence(bus: Bus, circleId: CircleId): string[] {
  const published: string[] = [];
  bus.subscribe(circleTopic(circleId), (notice) => {
    if (notice.kind !== 'ephemeral' || notice.ephemeral.type !== 'presence') return;
    const { actor, online } = notice.ephemeral;
    expect(actor.online).toBe(online);
    published.push(`${online ? '+' : '-'}${actorKey(actorRefOf(actor))}`);
  });
  return published;
}

/** Backdates the last heartbeat of a node. */
const setSilence = (deps: Deps, nodeId: string, seconds: number) =>
  sql`update nodes set seen_at = clock_timestamp() - ${seconds} * interval '1 second' where id = ${nodeId}`.execute(
    deps.db,
  );

/** Counts the heartbeats that a node has recorded outside its row. */
const countHeartbeats = async (deps: Deps, nodeId: string): Promise<number> =>
  (await deps.db.selectFrom('heartbeats').select('id').where('nodeId', '=', nodeId).execute()).length;

const hasSignals = async (deps: Deps, actor: ActorRef) => (await findReachability(deps.db, actor)).signals;

/** Advances the timers until each node has finished `count` more heartbeats. */
async function runHeartbeats({ deps, nodes, advance }: Fixture, count: number) {
  const ids = nodes.map(({ id }) => id);
  const readBeats = async () => {
    const rows = await deps.db.selectFrom('nodes').select(['id', 'seenAt']).where('id', 'in', ids).execute();
    return new Map(rows.map(({ id, seenAt }) => [id, String(seenAt)]));
  };
  // A beat begins by updating `seen_at`: the one before it has finished.
  for (let beat = 0; beat <= count; beat += 1) {
    const before = await readBeats();
    await expect
      .poll(async () => {
        advance(INTERVAL_MS);
        const now = await readBeats();
        return ids.every((id) => now.get(id) !== before.get(id));
      }, POLL_OPTIONS)
      .toBe(true);
  }
}

test('an actor is online from its first opened connection to its last closed one', async () => {
  await using fixture = await startTestNodes();
  const { ann, nodes, published } = fixture;
  const key = actorKey(ann.actor);
  const leases = [];
  for (const [index, kind] of (['graphql', 'legacy', 'signals'] as const).entries()) {
    leases.push(await nodes[index % 2 === 0 ? 0 : 1].presence.open(kind, ann.actor));
    expect(await fixture.isOnline(ann.actor)).toBe(true);
  }
  for (const lease of leases) {
    expect(await fixture.isOnline(ann.actor)).toBe(true);
    await lease.close();
    await lease.close();
  }
  expect(await fixture.isOnline(ann.actor)).toBe(false);
  expect(published).toEqual([`+${key}`, `-${key}`]);
});

test('presence is published in every circle of a user, and in the circle of a device', async () => {
  await using fixture = await startTestNodes();
  const { deps, ann, bob, nodes, published } = fixture;
  const otherCircle = await createCircle(deps, bob, ann);
  const device = await createDevice(deps, otherCircle, bob);
  const publishedInOther = recordPresence(deps.bus, otherCircle.id);
  const leases = [
    await nodes[0].presence.open('graphql', ann.actor),
    await nodes[1].presence.open('legacy', device),
  ];
  for (const lease of leases) await lease.close();
  const [userKey, deviceKey] = [actorKey(ann.actor), actorKey(device)];
  expect(published).toEqual([`+${userKey}`, `-${userKey}`]);
  expect(publishedInOther).toEqual([`+${userKey}`, `+${deviceKey}`, `-${userKey}`, `-${deviceKey}`]);
});

test('a reconnect within the grace period is not published', async () => {
  await using fixture = await startTestNodes({ graceMs: 60_000 });
  const { ann, nodes, published } = fixture;
  let lease = await nodes[0].presence.open('legacy', ann.actor);
  for (const index of indexes(4)) {
    await lease.close();
    expect(await fixture.isOnline(ann.actor)).toBe(true);
    lease = await nodes[index % 2 === 0 ? 1 : 0].presence.open('legacy', ann.actor);
  }
  await lease.close();
  expect(published).toEqual([`+${actorKey(ann.actor)}`]);
});

test('each connection that closes, on any node, restarts the grace period', async () => {
  await using fixture = await startTestNodes({ graceMs: 1_000 });
  const { deps, ann, nodes, published } = fixture;
  const countLeases = async () => (await deps.db.selectFrom('leases').select('id').execute()).length;
  const first = await nodes[0].presence.open('legacy', ann.actor);
  const second = await nodes[1].presence.open('legacy', ann.actor);
  await first.close();
  fixture.advance(700);
  await second.close();
  fixture.advance(600);
  await expect.poll(countLeases, POLL_OPTIONS).toBe(1);
  expect(published).toEqual([`+${actorKey(ann.actor)}`]);
  fixture.advance(400);
  await expect
    .poll(() => published, POLL_OPTIONS)
    .toEqual([`+${actorKey(ann.actor)}`, `-${actorKey(ann.actor)}`]);
});

test('an account within its grace period is online but not reachable', async () => {
  await using fixture = await startTestNodes({ graceMs: 60_000 });
  const { deps, ann, nodes } = fixture;
  const legacy = await nodes[0].presence.open('legacy', ann.actor);
  const signals = await nodes[0].presence.open('signals', ann.actor);
  expect(await nodes[1].presence.newestLegacyLease(ann.actor)).toBe(legacy.leaseId);
  expect(await hasSignals(deps, ann.actor)).toBe(true);
  await legacy.close();
  await signals.close();
  expect(await nodes[1].presence.newestLegacyLease(ann.actor)).toBeNull();
  expect(await hasSignals(deps, ann.actor)).toBe(false);
  expect(await fixture.isOnline(ann.actor)).toBe(true);
});

test('the newest legacy connection is the last authenticated live one, on any node', async () => {
  await using fixture = await startTestNodes();
  const { ann, bob, nodes } = fixture;
  const leases = [];
  for (const index of indexes(4))
    leases.push(await nodes[index % 2 === 0 ? 0 : 1].presence.open('legacy', ann.actor));
  await nodes[0].presence.open('graphql', ann.actor);
  await nodes[0].presence.open('legacy', bob.actor);
  const readNewestLease = () => nodes[0].presence.newestLegacyLease(ann.actor);
  expect(leases.map(({ leaseId }) => leaseId).toSorted((a, b) => a - b)).toEqual(
    leases.map(({ leaseId }) => leaseId),
  );
  for (const lease of leases.toReversed()) {
    expect(await readNewestLease()).toBe(lease.leaseId);
    await lease.close();
  }
  expect(await readNewestLease()).toBeNull();
});

test('with concurrent opens and closes, each change is published once, and the last one is the actual state', async () => {
  await using fixture = await startTestNodes();
  const { ann, nodes, published } = fixture;
  const key = actorKey(ann.actor);
  for (const round of indexes(10)) {
    const leases = await Promise.all(
      indexes(12).map(async (number) => {
        const lease = await nodes[number % 2 === 0 ? 0 : 1].presence.open('graphql', ann.actor);
        if (number % 3 !== round % 3) await lease.close();
        return lease;
      }),
    );
    expect(await fixture.isOnline(ann.actor)).toBe(true);
    await Promise.all(leases.map((lease) => lease.close()));
    expect(await fixture.isOnline(ann.actor)).toBe(false);
  }
  expect(published.length % 2).toBe(0);
  expect(new Set(published)).toEqual(new Set([`+${key}`, `-${key}`]));
  expect(published.filter((change) => change.startsWith('+'))).toHaveLength(published.length / 2);
  expect(published.at(-1)).toBe(`-${key}`);
});

test('an actor that reconnects to another node while its last connection closes stays online', async () => {
  await using fixture = await startTestNodes();
  const { ann, nodes } = fixture;
  let lease = await nodes[0].presence.open('graphql', ann.actor);
  for (const index of indexes(40)) {
    const [, next] = await Promise.all([
      lease.close(),
      nodes[index % 2 === 0 ? 1 : 0].presence.open('graphql', ann.actor),
    ]);
    expect(await fixture.isOnline(ann.actor)).toBe(true);
    lease = next;
  }
  await lease.close();
  expect(await fixture.isOnline(ann.actor)).toBe(false);
});

test('the actors of a dead node go offline, published once by the surviving nodes', async () => {
  await using fixture = await startTestNodes();
  const { deps, ann, bob, nodes, published, addNode } = fixture;
  const deadNode = await addNode();
  await deadNode.presence.open('legacy', ann.actor);
  await deadNode.presence.open('legacy', bob.actor);
  await nodes[0].presence.open('graphql', bob.actor);
  await deadNode[Symbol.asyncDispose]();
  await setSilence(deps, deadNode.id, 5);
  await runHeartbeats(fixture, 4);
  expect(published).toHaveLength(2);
  await setSilence(deps, deadNode.id, 16);
  await runHeartbeats(fixture, 4);
  // A beat does not wait for the removal of the nodes that it finds dead.
  await expect
    .poll(() => published, POLL_OPTIONS)
    .toEqual([`+${actorKey(ann.actor)}`, `+${actorKey(bob.actor)}`, `-${actorKey(ann.actor)}`]);
  expect(await fixture.isOnline(bob.actor)).toBe(true);
});

test('connections of a node without heartbeats do not make an actor reachable', async () => {
  await using fixture = await startTestNodes();
  const { deps, ann, nodes } = fixture;
  await nodes[0].presence.open('legacy', ann.actor);
  await nodes[0].presence.open('signals', ann.actor);
  await setSilence(deps, nodes[0].id, 16);
  expect(await nodes[1].presence.newestLegacyLease(ann.actor)).toBeNull();
  expect(await hasSignals(deps, ann.actor)).toBe(false);
});

test('the actors of a stopped node stay online for the grace period, then the other nodes publish them as offline', async () => {
  await using fixture = await startTestNodes({ graceMs: 60_000 });
  const { deps, ann, bob, published, addNode, nodes } = fixture;
  const stoppedNode = await addNode();
  await stoppedNode.presence.open('legacy', ann.actor);
  await stoppedNode.presence.open('legacy', bob.actor);
  await stoppedNode[Symbol.asyncDispose]();
  expect(await nodes[0].presence.newestLegacyLease(ann.actor)).toBeNull();
  const lease = await nodes[0].presence.open('legacy', bob.actor);
  expect(await fixture.isOnline(ann.actor)).toBe(true);
  await runHeartbeats(fixture, 4);
  expect(published).toHaveLength(2);
  // The grace period of a stopped node elapses by the clock of the database.
  await setSilence(deps, stoppedNode.id, 16);
  await runHeartbeats(fixture, 4);
  await expect.poll(() => published, POLL_OPTIONS).toHaveLength(3);
  expect(published.at(-1)).toBe(`-${actorKey(ann.actor)}`);
  expect(await fixture.isOnline(bob.actor)).toBe(true);
  await lease.close();
});

test('a node that was declared dead registers again with all its connections', async () => {
  await using fixture = await startTestNodes();
  const { deps, ann, nodes, published } = fixture;
  const lease = await nodes[0].presence.open('legacy', ann.actor);
  await deps.db.deleteFrom('nodes').where('id', '=', nodes[0].id).execute();
  await sql`update presence set online = false`.execute(deps.db);
  fixture.advance(INTERVAL_MS);
  await expect.poll(() => fixture.isOnline(ann.actor), POLL_OPTIONS).toBe(true);
  expect(await nodes[1].presence.newestLegacyLease(ann.actor)).toBe(lease.leaseId);
  expect((await listLiveNodes(deps.db)).find(({ id }) => id === nodes[0].id)).toMatchObject({
    name: 'one',
    version: VERSION,
  });
  await lease.close();
  expect(await fixture.isOnline(ann.actor)).toBe(false);
  const key = actorKey(ann.actor);
  expect(published).toEqual([`+${key}`, `+${key}`, `-${key}`]);
});

test('a node that was declared dead registers again before it opens a connection', async () => {
  await using fixture = await startTestNodes();
  const { deps, ann, bob, nodes } = fixture;
  await nodes[0].presence.open('legacy', ann.actor);
  await deps.db.deleteFrom('nodes').where('id', '=', nodes[0].id).execute();
  await nodes[0].presence.open('legacy', bob.actor);
  expect(await fixture.isOnline(bob.actor)).toBe(true);
  expect(await nodes[1].presence.newestLegacyLease(ann.actor)).not.toBeNull();
});

test('the actors of a lease whose node does not exist go offline', async () => {
  await using fixture = await startTestNodes();
  const { deps, ann, nodes, published } = fixture;
  await (await nodes[0].presence.open('legacy', ann.actor)).close();
  await deps.db
    .insertInto('leases')
    .values({
      nodeId: 'removed',
      kind: 'legacy',
      actorKind: ann.actor.kind,
      actorId: ann.actor.id,
      closedAt: null,
    })
    .execute();
  await sql`update presence set online = true where actor_id = ${ann.actor.id}`.execute(deps.db);
  await runHeartbeats(fixture, 4);
  await expect
    .poll(() => published, POLL_OPTIONS)
    .toEqual(['+', '-', '-'].map((sign) => `${sign}${actorKey(ann.actor)}`));
  expect(await deps.db.selectFrom('leases').select('id').execute()).toEqual([]);
  expect((await listLiveNodes(deps.db)).map(({ id }) => id)).not.toContain('removed');
});

test('the only process of a database starts with no one online', async () => {
  await using fixture = await startTestNodes();
  const { deps, ann, bob, nodes, published } = fixture;
  await nodes[0].presence.open('legacy', ann.actor);
  const options = {
    db: deps.db,
    control: deps.db,
    bus: deps.bus,
    log,
    graceMs: 0,
    nodeId: crypto.randomUUID(),
    nodeName: undefined,
  };
  await using presence = await createPresence({ ...options, isOnlyProcess: true });
  expect(await fixture.isOnline(ann.actor)).toBe(false);
  expect(await presence.newestLegacyLease(ann.actor)).toBeNull();
  expect(await deps.db.selectFrom('nodes').select('id').execute()).toEqual([{ id: options.nodeId }]);
  await (await presence.open('graphql', bob.actor)).close();
  expect(published).toHaveLength(3);
});

test('presence of a deleted account is not published', async () => {
  await using fixture = await startTestNodes();
  const { deps, ann, circle, nodes, published } = fixture;
  const device = await createDevice(deps, circle, ann);
  const lease = await nodes[0].presence.open('legacy', device);
  await devices.removeDevice(deps, ann.actor, { deviceId: device.id });
  await lease.close();
  expect(published).toEqual([`+${actorKey(device)}`]);
});

test('connections that close concurrently share a few transactions', async () => {
  await using fixture = await startTestNodes();
  const { deps, ann, bob, nodes } = fixture;
  const leases = await Promise.all(
    indexes(300).map((number) => nodes[0].presence.open('graphql', (number % 2 === 0 ? ann : bob).actor)),
  );
  const transactions = vi.spyOn(deps.db, 'transaction');
  await Promise.all(leases.map((lease) => lease.close()));
  expect(transactions.mock.calls.length).toBeLessThan(10);
  transactions.mockRestore();
  expect(await fixture.isOnline(ann.actor)).toBe(false);
  expect(await deps.db.selectFrom('leases').select('id').execute()).toEqual([]);
});

test('a presence subscription delivers the online actors, then every change', async () => {
  await using fixture = await startTestNodes();
  const { deps, ann, bob, circle, nodes } = fixture;
  const device = await createDevice(deps, circle, ann);
  const eve = await createUser(deps, 'eve');
  await nodes[0].presence.open('graphql', eve.actor);
  const lease = await nodes[0].presence.open('graphql', ann.actor);
  const deviceLease = await nodes[1].presence.open('legacy', device);
  const stream = await openPresence(deps, createSession(bob.actor), { circleId: circle.id });
  const readNext = async (): Promise<string> => {
    const { value } = await stream.next();
    return value === undefined ? 'end' : changeOf(value);
  };
  expect(new Set([await readNext(), await readNext()])).toEqual(
    new Set([`+${actorKey(ann.actor)}`, `+${actorKey(device)}`]),
  );
  await lease.close();
  expect(await readNext()).toBe(`-${actorKey(ann.actor)}`);
  await deviceLease.close();
  expect(await readNext()).toBe(`-${actorKey(device)}`);
  await nodes[1].presence.open('graphql', bob.actor);
  expect(await readNext()).toBe(`+${actorKey(bob.actor)}`);
  await stream.return();
});

const changeOf = ({ actor, online }: PresenceChange): string =>
  `${online ? '+' : '-'}${actorKey(actorRefOf(actor))}`;

test('a presence subscription requires a membership in the circle, and ends with it', async () => {
  await using fixture = await startTestNodes();
  const { deps, ann, bob, circle } = fixture;
  const eve = await createUser(deps, 'eve');
  const open = (actor: ActorRef) => openPresence(deps, createSession(actor), { circleId: circle.id });
  await expect(open(eve.actor)).rejects.toThrow(errorWithCode('NOT_FOUND'));
  await expect(openPresence(deps, createSession(ann.actor), { circleId: 99 as CircleId })).rejects.toThrow(
    errorWithCode('NOT_FOUND'),
  );
  const stream = await open(bob.actor);
  await circles.kickFromCircle(deps, ann.actor, { circleId: circle.id, email: bob.email });
  await expect(stream.next()).rejects.toThrow(errorWithCode('FORBIDDEN', { reason: 'KICKED' }));
});

test('a lease whose removal failed is removed once the database is available again', async () => {
  await using fixture = await startTestNodes({ graceMs: 10 });
  const { deps, ann, nodes, published } = fixture;
  const lease = await nodes[0].presence.open('graphql', ann.actor);
  const fail = () => {
    throw new Error('unavailable');
  };
  const spies = [
    vi.spyOn(deps.db, 'transaction').mockImplementation(fail),
    vi.spyOn(deps.db, 'updateTable').mockImplementation(fail),
  ];
  const warnings = vi.spyOn(log, 'warn');
  await lease.close();
  fixture.advance(10);
  await expect
    .poll(() => warnings.mock.calls.map(([, message]) => message), POLL_OPTIONS)
    .toContain('lease removal failed, retrying');
  for (const spy of spies) spy.mockRestore();
  warnings.mockRestore();
  fixture.advance(1_000);
  await expect.poll(() => published, POLL_OPTIONS).toHaveLength(2);
  expect(await fixture.isOnline(ann.actor)).toBe(false);
});

describe.skipIf(inject('database') !== 'postgres')(
  'while another session has locked rows of an actor',
  () => {
    /** Starts nodes on a database whose URL the test needs. */
    async function startNodesWithUrl(options?: Parameters<typeof startTestNodes>[0]) {
      const { url = '' } = await openTestDatabase();
      return { url, fixture: await startTestNodes(options) };
    }

    const rowsOf = (table: 'presence' | 'leases', { actor }: TestUser) =>
      `select from ${table} where actor_kind = '${actor.kind}' and actor_id = ${actor.id} for update`;

    /** Advances the timers until the condition holds. */
    const advanceUntil = async ({ advance }: Fixture, condition: () => boolean | Promise<boolean>) => {
      await expect
        .poll(async () => {
          advance(INTERVAL_MS);
          return condition();
        }, POLL_OPTIONS)
        .toBe(true);
    };

    test('a node whose row is locked opens connections, is not declared dead, and can stop', async () => {
      const { url, fixture } = await startNodesWithUrl();
      await using _fixture = fixture;
      const { deps, ann, bob, nodes, published, addNode } = fixture;
      const lockedNode = await addNode();
      await setSilence(deps, lockedNode.id, 16);
      await using lock = await lockRows(url, `select from nodes where id = '${lockedNode.id}' for update`);
      await lockedNode.presence.open('legacy', ann.actor);
      expect(await nodes[0].presence.newestLegacyLease(ann.actor)).toBeNull();
      await advanceUntil(fixture, async () => (await countHeartbeats(deps, lockedNode.id)) === 1);
      expect(await nodes[0].presence.newestLegacyLease(ann.actor)).not.toBeNull();
      await lock.release();
      await removeDeadNodes(deps.db, 0);
      expect(published).toEqual([`+${actorKey(ann.actor)}`]);

      await advanceUntil(fixture, async () => (await countHeartbeats(deps, lockedNode.id)) === 0);
      await using _again = await lockRows(url, `select from nodes where id = '${lockedNode.id}' for update`);
      await lockedNode.presence.open('legacy', bob.actor);
      await lockedNode[Symbol.asyncDispose]();
      expect(await nodes[0].presence.newestLegacyLease(bob.actor)).toBeNull();
    });

    test('it can connect, and is online once they are free; others connect and are online', async () => {
      const { url, fixture } = await startNodesWithUrl();
      await using _fixture = fixture;
      const { ann, bob, nodes, published } = fixture;
      const { presence } = nodes[0];
      const [annKey, bobKey] = [actorKey(ann.actor), actorKey(bob.actor)];
      await (await presence.open('graphql', ann.actor)).close();
      published.length = 0;

      await using lock = await lockRows(url, rowsOf('presence', ann));
      const [first] = await Promise.all([
        presence.open('legacy', ann.actor),
        presence.open('legacy', bob.actor),
      ]);
      const second = await presence.open('legacy', ann.actor);
      expect(second.leaseId).toBeGreaterThan(first.leaseId);
      expect(await nodes[1].presence.newestLegacyLease(ann.actor)).toBe(second.leaseId);
      expect(published).toEqual([`+${bobKey}`]);
      await lock.release();
      await advanceUntil(fixture, () => published.length > 1);
      expect(published).toEqual([`+${bobKey}`, `+${annKey}`]);
      await first.close();
      await second.close();
      expect(await fixture.isOnline(ann.actor)).toBe(false);
    });

    test('a locked actor does not delay a connection of another that arrives while its batch waits', async () => {
      const { url, fixture } = await startNodesWithUrl();
      await using _fixture = fixture;
      const { ann, bob, nodes } = fixture;
      const { presence } = nodes[0];
      // Inserted by a session that has not committed: no row that could be skipped.
      await using lock = await lockRows(
        url,
        `insert into presence (actor_kind, actor_id, online) values ('user', ${ann.actor.id}, false)`,
      );
      const order: string[] = [];
      const opening = presence.open('legacy', ann.actor).then(() => order.push('ann'));
      await vi.waitFor(async () => expect(await countLockWaits(fixture.deps.db)).toBe(1));
      await presence.open('legacy', bob.actor);
      order.push('bob');
      expect(order).toEqual(['bob']);
      await lock.release();
      await opening;
    });

    test.each(['presence', 'leases'] as const)(
      'others who disconnect are published; its own departure once its rows in %s are free',
      async (table) => {
        const { url, fixture } = await startNodesWithUrl();
        await using _fixture = fixture;
        const { ann, bob, nodes, published } = fixture;
        const { presence } = nodes[0];
        const [annKey, bobKey] = [actorKey(ann.actor), actorKey(bob.actor)];
        const leases = [await presence.open('graphql', ann.actor), await presence.open('graphql', bob.actor)];
        published.length = 0;

        await using lock = await lockRows(url, rowsOf(table, ann));
        await Promise.all(leases.map((lease) => lease.close()));
        expect(published).toEqual([`-${bobKey}`]);
        await lock.release();
        await advanceUntil(fixture, () => published.length > 1);
        expect(published).toEqual([`-${bobKey}`, `-${annKey}`]);
      },
    );

    test('a lease that is locked does not delay that others are marked closed', async () => {
      const { url, fixture } = await startNodesWithUrl({ graceMs: 60_000 });
      await using _fixture = fixture;
      const { ann, bob, nodes } = fixture;
      const { presence } = nodes[0];
      const leases = [await presence.open('legacy', ann.actor), await presence.open('legacy', bob.actor)];
      await using _lock = await lockRows(url, rowsOf('leases', ann));
      await Promise.all(leases.map((lease) => lease.close()));
      expect(await presence.newestLegacyLease(bob.actor)).toBeNull();
    });

    test('its departure is published by another node if its own stops first', async () => {
      const { url, fixture } = await startNodesWithUrl();
      await using _fixture = fixture;
      const { deps, ann, addNode, published } = fixture;
      const stoppedNode = await addNode();
      const lease = await stoppedNode.presence.open('legacy', ann.actor);
      await using lock = await lockRows(url, rowsOf('presence', ann));
      await lease.close();
      await stoppedNode[Symbol.asyncDispose]();
      await lock.release();
      await setSilence(deps, stoppedNode.id, 16);
      await advanceUntil(fixture, () => published.length > 1);
      expect(published).toEqual([`+${actorKey(ann.actor)}`, `-${actorKey(ann.actor)}`]);
    });

    test.each(['presence', 'leases'] as const)(
      'others of a dead node are published; its own departure once its rows in %s are free',
      async (table) => {
        const { url, fixture } = await startNodesWithUrl();
        await using _fixture = fixture;
        const { deps, ann, bob, addNode, published } = fixture;
        const [annKey, bobKey] = [actorKey(ann.actor), actorKey(bob.actor)];
        const deadNode = await addNode();
        await deadNode.presence.open('legacy', ann.actor);
        await deadNode.presence.open('legacy', bob.actor);
        await deadNode[Symbol.asyncDispose]();
        published.length = 0;

        await using lock = await lockRows(url, rowsOf(table, ann));
        await setSilence(deps, deadNode.id, 16);
        await runHeartbeats(fixture, 4);
        await advanceUntil(fixture, () => published.length > 0);
        expect(published).toEqual([`-${bobKey}`]);
        await lock.release();
        await advanceUntil(fixture, () => published.length > 1);
        expect(published).toEqual([`-${bobKey}`, `-${annKey}`]);
        const dead = () => deps.db.selectFrom('nodes').select('id').where('id', '=', deadNode.id).execute();
        await advanceUntil(fixture, async () => (await dead()).length === 0);
      },
    );

    test('a dead node whose heartbeats are locked delays the departures of no one', async () => {
      const { url, fixture } = await startNodesWithUrl();
      await using _fixture = fixture;
      const { deps, ann, addNode, published } = fixture;
      const deadNode = await addNode();
      const deadNodes = [deadNode.id, 'another'];
      await deadNode.presence.open('legacy', ann.actor);
      await deadNode[Symbol.asyncDispose]();
      await sql`insert into nodes (id) values ('another')`.execute(deps.db);
      await sql`insert into heartbeats (node_id, seen_at) values ('another', 'epoch')`.execute(deps.db);
      published.length = 0;

      await using lock = await lockRows(url, 'select from heartbeats for update');
      for (const id of deadNodes) await setSilence(deps, id, 16);
      await removeDeadNodes(deps.db, 0);
      const remaining = () => deps.db.selectFrom('nodes').select('id').where('id', 'in', deadNodes).execute();
      expect(await remaining()).toEqual([{ id: 'another' }]);
      await lock.release();
      await removeDeadNodes(deps.db, 0);
      expect(await remaining()).toEqual([]);
      expect(await countHeartbeats(deps, 'another')).toBe(0);
      expect(await fixture.isOnline(ann.actor)).toBe(false);
    });

    test.each(['heartbeat', 'connection'] as const)(
      'a node that was declared dead, but has leases that could not be removed, registers again with its next %s',
      async (next) => {
        const { url, fixture } = await startNodesWithUrl();
        await using _fixture = fixture;
        const { deps, ann, bob, nodes, published } = fixture;
        const { presence } = nodes[0];
        const annLease = await presence.open('legacy', ann.actor);
        const bobLease = await presence.open('legacy', bob.actor);
        await using _lock = await lockRows(url, rowsOf('presence', ann));
        await setSilence(deps, nodes[0].id, 16);
        await removeDeadNodes(deps.db, 0);
        expect(await fixture.isOnline(bob.actor)).toBe(false);
        if (next === 'heartbeat') fixture.advance(INTERVAL_MS);
        else await presence.open('legacy', (await createUser(deps, 'eve')).actor);
        await expect.poll(() => published, POLL_OPTIONS).toHaveLength(3);
        expect(published[2]).toBe(`+${actorKey(bob.actor)}`);
        expect(await nodes[1].presence.newestLegacyLease(ann.actor)).toBe(annLease.leaseId);
        expect(await nodes[1].presence.newestLegacyLease(bob.actor)).toBe(bobLease.leaseId);
      },
    );

    test('a node registers again while an actor of it is locked', async () => {
      const { url, fixture } = await startNodesWithUrl();
      await using _fixture = fixture;
      const { deps, ann, bob, nodes, published } = fixture;
      const { presence } = nodes[0];
      for (const { actor } of [ann, bob]) await presence.open('legacy', actor);
      await setSilence(deps, nodes[0].id, 16);
      await removeDeadNodes(deps.db, 0);
      published.length = 0;
      await using lock = await lockRows(url, rowsOf('presence', ann));
      const eve = await createUser(deps, 'eve');
      await presence.open('legacy', eve.actor);
      expect(published).toEqual([`+${actorKey(bob.actor)}`]);
      expect(await nodes[1].presence.newestLegacyLease(ann.actor)).not.toBeNull();
      await lock.release();
      await advanceUntil(fixture, () => published.length > 1);
      expect(published).toEqual([`+${actorKey(bob.actor)}`, `+${actorKey(ann.actor)}`]);
    });

    test('a connection that closes while its node registers again leaves nothing behind', async () => {
      const { url, fixture } = await startNodesWithUrl();
      await using _fixture = fixture;
      const { deps, ann, nodes } = fixture;
      const { presence } = nodes[0];
      const lease = await presence.open('legacy', ann.actor);
      await setSilence(deps, nodes[0].id, 16);
      await removeDeadNodes(deps.db, 0);
      // The registration waits until it is known whether another session has registered the node.
      await using lock = await lockRows(url, `insert into nodes (id) values ('${nodes[0].id}')`);
      fixture.advance(INTERVAL_MS);
      await vi.waitFor(async () => expect(await countLockWaits(deps.db)).toBe(1));
      await lease.close();
      await lock.release();
      const idsIn = (table: 'nodes' | 'leases') => deps.db.selectFrom(table).select('id').execute();
      await expect.poll(() => idsIn('nodes'), POLL_OPTIONS).toHaveLength(fixture.nodes.length + 1);
      await expect.poll(() => idsIn('leases'), POLL_OPTIONS).toEqual([]);
      expect(await fixture.isOnline(ann.actor)).toBe(false);
    });
  },
);

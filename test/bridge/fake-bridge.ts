import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import type { BridgeDeps } from '../../src/bridge/deps.ts';
import type { ConnectionLimits } from '../../src/bridge/connection-limits.ts';
import { createBridge } from '../../src/bridge/server.ts';
import type { Bridge } from '../../src/bridge/server.ts';
import { unauthenticated } from '../../src/errors.ts';
import type { ConnectionEnd, EndReason, ErrorCode } from '../../src/errors.ts';
import { encodeCursor } from '../../src/events/cursor.ts';
import { topicOf } from '../../src/events/event.ts';
import type { DomainEvent, Ephemeral, Topic } from '../../src/events/event.ts';
import type { Follower } from '../../src/events/tail-source.ts';
import { findToken, findTokenInRequest } from '../../src/gateway/bearer-token.ts';
import { createConnectionIds } from '../../src/gateway/connection-ids.ts';
import { createByteLedgers } from '../../src/lib/byte-ledger.ts';
import { SilenceWatch } from '../../src/lib/silence-watch.ts';
import { TurnClock } from '../../src/lib/turn-clock.ts';
import { TurnEnd } from '../../src/lib/turn-end.ts';
import { createLogger } from '../../src/log.ts';
import type { ActorRef, Session } from '../../src/actor.ts';

const EPOCH = 'test';

interface LogEntry {
  readonly level: number;
  readonly msg: string;
  readonly connection?: string;
}

/** The result of an operation: data, or the code of its error. */
type OperationResult = { readonly data: unknown } | { readonly code: ErrorCode };
type Operation = (
  variables: Record<string, unknown>,
  session: Session | null,
) => OperationResult | Promise<OperationResult>;

/** The bridge with fake dependencies: a test decides when an operation returns and when an event is published. */
export interface FakeBridge extends AsyncDisposable {
  readonly url: string;
  readonly bridge: Bridge;
  /** Operations by name. By default joins are permitted at the head of the topic, and everything else succeeds. */
  readonly operations: Record<string, Operation>;
  /** Ends the sessions of a token and revokes it. */
  endSession(token: string, reason: EndReason): void;
  /** Publishes an event at the next position of its topic. */
  publish(event: DomainEvent): void;
  /** Delivers an ephemeral event to the followers of its topic. */
  publishEphemeral(ephemeral: Ephemeral): void;
  /** Notifies the followers of a topic that they have missed events. */
  reportGap(topic: Topic): void;
  countFollowers(topic: Topic): number;
  /** The result of `newestLegacyLease`; the greatest open lease unless set. */
  newestLease: number | undefined;
  /** The number of calls of `newestLegacyLease` that will fail as if the database were unavailable. */
  failingLeaseReads: number;
  /** Awaited before a lease is opened. */
  beforeLease: Promise<void>;
  /** Awaited in each step of a login. */
  beforeLoginStep: () => Promise<void>;
  readonly leases: ReadonlyMap<number, ActorRef>;
  /** The reasons with which connections ended, in order. */
  readonly endReasons: readonly ConnectionEnd[];
  /** Log entries of every level. */
  readonly logEntries: readonly LogEntry[];
  /** The number of open Engine.IO connections. */
  readonly connectionCount: number;
  /** Returns the cursor of the newest event of a topic. */
  readCursor(topic: Topic): string;
}

/** Starts a bridge with fake dependencies. Tokens are an account and a suffix: `user:7`, `device:4`, `user:7#second`. */
export async function startFakeBridge(
  limits: Partial<ConnectionLimits> = {},
  config: BridgeDeps['config'] = { LEGACY_FORWARD_CHANNELS: undefined },
): Promise<FakeBridge> {
  const topics = new Map<Topic, { head: number; followers: Set<Follower> }>();
  const openTopic = (topic: Topic) => {
    const entry = topics.get(topic) ?? { head: 0, followers: new Set<Follower>() };
    topics.set(topic, entry);
    return entry;
  };
  const sessions = new Set<{ readonly token: string; readonly onEnd: (reason: EndReason) => void }>();
  const revokedTokens = new Set<string>();
  const leases = new Map<number, ActorRef>();
  const endReasons: ConnectionEnd[] = [];
  const logEntries: LogEntry[] = [];
  let lastLease = 0;
  let connectionCount = 0;

  const fake: Omit<FakeBridge, 'url' | 'bridge' | typeof Symbol.asyncDispose> = {
    operations: {},
    newestLease: undefined,
    failingLeaseReads: 0,
    beforeLease: Promise.resolve(),
    beforeLoginStep: () => Promise.resolve(),
    leases,
    endReasons,
    logEntries,
    get connectionCount() {
      return connectionCount;
    },
    endSession(token, reason) {
      revokedTokens.add(token);
      for (const session of sessions) if (session.token === token) session.onEnd(reason);
    },
    publish(event) {
      const topic = topicOf(event);
      const entry = openTopic(topic);
      entry.head += 1;
      const envelope = { topic, seq: entry.head, at: '2018-12-07T10:00:00.000Z', event };
      for (const follower of entry.followers) follower.onEvent?.(envelope);
    },
    publishEphemeral(ephemeral) {
      for (const follower of openTopic(ephemeral.topic).followers) follower.onEphemeral?.(ephemeral);
    },
    reportGap(topic) {
      for (const follower of openTopic(topic).followers) follower.onGap?.();
    },
    countFollowers: (topic) => openTopic(topic).followers.size,
    readCursor: (topic) => encodeCursor(EPOCH, topic, openTopic(topic).head),
  };

  const createDefaultData = (name: string, { id }: Record<string, unknown>): unknown => {
    const eventCursor = fake.readCursor(String(id).toLowerCase() as Topic);
    if (name === 'LegacyCircle') return { circle: { eventCursor } };
    if (name === 'LegacyConversation') return { conversation: { eventCursor } };
    if (name === 'LegacyMessage') return { sendMessage: { message: { legacyId: 1 }, media: [] } };
    return {};
  };
  const execute = async (
    document: TypedDocumentNode<unknown, never>,
    variables: Record<string, unknown>,
    { session }: { readonly session: Session | null },
  ) => {
    const [definition] = document.definitions;
    const name = (definition !== undefined && 'name' in definition && definition.name?.value) || '';
    const result = (await fake.operations[name]?.(variables, session)) ?? {
      data: createDefaultData(name, variables),
    };
    return 'data' in result ? result : { errors: [{ message: '', extensions: { code: result.code } }] };
  };

  const deps: BridgeDeps = {
    config,
    log: createLogger('debug', { write: (line) => void logEntries.push(JSON.parse(line) as LogEntry) }),
    metrics: {
      connections: { inc: () => void (connectionCount += 1), dec: () => void (connectionCount -= 1) },
      legacyConnections: { inc: () => {} },
      legacyEvents: { inc: () => {} },
      legacyFrames: { inc: () => {} },
      legacyEventDuration: { observe: () => {} },
      errors: { inc: () => {} },
      connectionEnds: { inc: ({ reason }) => void endReasons.push(reason) },
    },
    epoch: { current: EPOCH },
    addressOf: () => '127.0.0.1',
    nextConnectionId: createConnectionIds('1f3a9c02'),
    identifyConnection: () => undefined,
    recordCallSignal: async () => undefined,
    silenceWatch: new SilenceWatch(),
    // Tests count turns of the event loop: work must not be put off to later ones because the machine is busy.
    turnClock: new TurnClock(Number.POSITIVE_INFINITY),
    turnEnd: new TurnEnd(),
    reportRefusal: () => undefined,
    ledgers: createByteLedgers({ onEvicted: () => undefined }),
    limits,
    tails: {
      lag: () => 0,
      whenFollowed: () => undefined,
      onEphemeral: () => () => undefined,
      async open(topic) {
        const entry = openTopic(topic);
        return {
          topic,
          lag: 0,
          get deliveredSeq() {
            return entry.head;
          },
          readRange: async () => undefined,
          readAfter: async () => undefined,
          follow(follower) {
            entry.followers.add(follower);
          },
          unfollow(follower) {
            entry.followers.delete(follower);
          },
          close() {},
        };
      },
      async compare() {},
      async whenDelivered() {},
      isCurrent: true,
    },
    budgets: {
      charge: () => undefined,
      chargeAfterwards: () => undefined,
      requireConnectionBudget: () => undefined,
      pause: async () => undefined,
    },
    executor: { execute } as unknown as BridgeDeps['executor'],
    presence: {
      async open(_kind, actor) {
        await fake.beforeLease;
        await fake.beforeLoginStep();
        lastLease += 1;
        const leaseId = lastLease;
        leases.set(leaseId, actor);
        return { leaseId, close: async () => void leases.delete(leaseId) };
      },
      async newestLegacyLease() {
        fake.failingLeaseReads -= 1;
        if (fake.failingLeaseReads >= 0)
          throw Object.assign(new Error('no connection'), { code: 'ECONNREFUSED' });
        return fake.newestLease ?? Math.max(...leases.keys());
      },
    },
    async authenticate(token) {
      const [, kind, id] = /^(user|device):(\d+)/.exec(token) ?? [];
      if (kind === undefined || revokedTokens.has(token)) throw unauthenticated();
      await fake.beforeLoginStep();
      return {
        actor: { kind, id: Number(id) } as ActorRef,
        tokenId: token,
        issuedAt: null,
        expiresAt: Infinity,
      };
    },
    findToken: (request, auth) => findToken(auth) ?? findTokenInRequest(request),
    async followSession({ tokenId }, onEnd) {
      const session = { token: tokenId, onEnd };
      sessions.add(session);
      await fake.beforeLoginStep();
      if (!revokedTokens.has(tokenId)) return () => void sessions.delete(session);
      sessions.delete(session);
      throw unauthenticated();
    },
    conversationExists: async () => true,
    usage: { retentionDays: 1, record: () => {}, read: () => Promise.reject(new Error('not faked')) },
    openStream: () => Promise.reject(new Error('not faked')),
    isOriginAllowed: ({ headers }) => headers.origin !== 'https://evil.example',
  };

  const bridge = createBridge(deps);
  const http = createServer((request, response) => bridge.handleRequest(request, response));
  http.on('upgrade', (request, socket, head) =>
    bridge.handleUpgrade(request, socket, head, ({ status }) => socket.end(`HTTP/1.1 ${status} \r\n\r\n`)),
  );
  await new Promise<void>((resolve) => {
    http.listen(0, '127.0.0.1', resolve);
  });
  return Object.assign(fake, {
    bridge,
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      await bridge.close();
      http.closeAllConnections();
      await new Promise((resolve) => http.close(resolve));
    },
  });
}

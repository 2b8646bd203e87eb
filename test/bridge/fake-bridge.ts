import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { TypedDocumentNode } from '@graphql-typed-document-node/core';
import type { BridgeDeps } from '../../src/bridge/deps.ts';
import type { BridgeLimits } from '../../src/bridge/limits.ts';
import { createBridge } from '../../src/bridge/server.ts';
import type { Bridge } from '../../src/bridge/server.ts';
import { unauthenticated } from '../../src/errors.ts';
import type { ConnectionEnd, EndReason, ErrorCode } from '../../src/errors.ts';
import { encodeCursor } from '../../src/events/cursor.ts';
import { topicOf } from '../../src/events/event.ts';
import type { DomainEvent, Ephemeral, Topic } from '../../src/events/event.ts';
import type { Follower } from '../../src/events/tail.ts';
import { findToken, findTokenInRequest } from '../../src/gateway/bearer-token.ts';
import { createLogger } from '../../src/log.ts';
import type { ActorRef, Session } from '../../src/actor.ts';

const EPOCH = 'test';

interface LogLine {
  readonly level: number;
  readonly msg: string;
  readonly connection?: string;
}

/** The result of an operation: data, or the code of its error. */
type Answer = { readonly data: unknown } | { readonly code: ErrorCode };
type Operation = (variables: Record<string, unknown>, session: Session | null) => Answer | Promise<Answer>;

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
  whisper(ephemeral: Ephemeral): void;
  /** Notifies the followers of a topic that they have missed events. */
  trim(topic: Topic): void;
  followers(topic: Topic): number;
  /** The result of `newestLegacyLease`; the greatest open lease unless set. */
  newest: number | undefined;
  /** The number of calls of `newestLegacyLease` that will fail, as they do while the database is unavailable. */
  outages: number;
  /** Awaited before a lease is opened. */
  opening: Promise<void>;
  /** Awaited in each step of a login. */
  pace: () => Promise<void>;
  readonly leases: ReadonlyMap<number, ActorRef>;
  readonly ends: readonly ConnectionEnd[];
  /** Log lines of every level. */
  readonly lines: readonly LogLine[];
  /** Number of open Engine.IO connections. */
  readonly opened: number;
  cursor(topic: Topic): string;
}

/** Tokens are an account and a suffix: `user:7`, `device:4`, `user:7#second`. */
export async function fakeBridge(
  limits: Partial<BridgeLimits> = {},
  config: BridgeDeps['config'] = { LEGACY_FORWARD_CHANNELS: undefined },
): Promise<FakeBridge> {
  const topics = new Map<Topic, { head: number; followers: Set<Follower> }>();
  const topicAt = (topic: Topic) => {
    const entry = topics.get(topic) ?? { head: 0, followers: new Set<Follower>() };
    topics.set(topic, entry);
    return entry;
  };
  const sessions = new Set<{ readonly token: string; readonly onEnd: (reason: EndReason) => void }>();
  const ended = new Set<string>();
  const leases = new Map<number, ActorRef>();
  const ends: ConnectionEnd[] = [];
  const lines: LogLine[] = [];
  let lastLease = 0;
  let opened = 0;

  const fake: Omit<FakeBridge, 'url' | 'bridge' | typeof Symbol.asyncDispose> = {
    operations: {},
    newest: undefined,
    outages: 0,
    opening: Promise.resolve(),
    pace: () => Promise.resolve(),
    leases,
    ends,
    lines,
    get opened() {
      return opened;
    },
    endSession(token, reason) {
      ended.add(token);
      for (const session of sessions) if (session.token === token) session.onEnd(reason);
    },
    publish(event) {
      const topic = topicOf(event);
      const entry = topicAt(topic);
      entry.head += 1;
      const envelope = { topic, seq: entry.head, at: '2018-12-07T10:00:00.000Z', event };
      for (const follower of entry.followers) follower.event?.(envelope);
    },
    whisper(ephemeral) {
      for (const follower of topicAt(ephemeral.topic).followers) follower.ephemeral?.(ephemeral);
    },
    trim(topic) {
      for (const follower of topicAt(topic).followers) follower.gap?.();
    },
    followers: (topic) => topicAt(topic).followers.size,
    cursor: (topic) => encodeCursor(EPOCH, topic, topicAt(topic).head),
  };

  const usual = (name: string, { id }: Record<string, unknown>): unknown => {
    const eventCursor = fake.cursor(String(id).toLowerCase() as Topic);
    if (name === 'LegacyCircle') return { circle: { eventCursor } };
    if (name === 'LegacyConversation') return { conversation: { eventCursor } };
    if (name === 'LegacyMessage') return { sendMessage: { message: { legacyId: 1 }, media: [] } };
    return {};
  };
  const execute = async (
    document: TypedDocumentNode<unknown, never>,
    variables: Record<string, unknown>,
    session: Session | null,
  ) => {
    const [definition] = document.definitions;
    const name = (definition !== undefined && 'name' in definition && definition.name?.value) || '';
    const answer = (await fake.operations[name]?.(variables, session)) ?? { data: usual(name, variables) };
    return 'data' in answer ? answer : { errors: [{ message: '', extensions: { code: answer.code } }] };
  };

  const deps: BridgeDeps = {
    config,
    log: createLogger('debug', { write: (line) => void lines.push(JSON.parse(line) as LogLine) }),
    metrics: {
      connections: { inc: () => void (opened += 1), dec: () => void (opened -= 1) },
      legacyConnections: { inc: () => {} },
      legacyEvents: { inc: () => {} },
      legacyFrames: { inc: () => {} },
      connectionEnds: { inc: ({ reason }) => void ends.push(reason) },
    },
    epoch: EPOCH,
    limits,
    tails: {
      lag: () => 0,
      async open(topic) {
        const entry = topicAt(topic);
        return {
          topic,
          get position() {
            return entry.head;
          },
          readRange: async () => undefined,
          readAfter: async () => undefined,
          follow(follower) {
            entry.followers.add(follower);
            return () => void entry.followers.delete(follower);
          },
          close() {},
        };
      },
      async compare() {},
    },
    executor: { execute } as unknown as BridgeDeps['executor'],
    presence: {
      async open(_kind, actor) {
        await fake.opening;
        await fake.pace();
        lastLease += 1;
        const leaseId = lastLease;
        leases.set(leaseId, actor);
        return { leaseId, close: async () => void leases.delete(leaseId) };
      },
      async newestLegacyLease() {
        fake.outages -= 1;
        if (fake.outages >= 0) throw Object.assign(new Error('no connection'), { code: 'ECONNREFUSED' });
        return fake.newest ?? Math.max(...leases.keys());
      },
    },
    async authenticate(token) {
      const [, kind, id] = /^(user|device):(\d+)/.exec(token) ?? [];
      if (kind === undefined || ended.has(token)) throw unauthenticated();
      await fake.pace();
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
      await fake.pace();
      if (!ended.has(tokenId)) return () => void sessions.delete(session);
      sessions.delete(session);
      throw unauthenticated();
    },
    conversationExists: async () => true,
    usage: { keptDays: 1, note: () => {}, read: () => Promise.reject(new Error('not faked')) },
    openStream: () => Promise.reject(new Error('not faked')),
    originAllowed: ({ headers }) => headers.origin !== 'https://evil.example',
  };

  const bridge = createBridge(deps);
  const http = createServer((request, response) => bridge.handleRequest(request, response));
  http.on('upgrade', (request, socket, head) => bridge.handleUpgrade(request, socket, head));
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

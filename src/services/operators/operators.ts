import type { ActorKey } from '../../actor.ts';
import type { Db } from '../../db/database.ts';
import { listLiveNodes, markStopped } from '../../db/live-nodes.ts';
import type { LiveNode } from '../../db/live-nodes.ts';
import type { NodeRequests } from '../../events/cluster/node-requests.ts';
import { Semaphore } from '../../lib/semaphore.ts';
import { waitAtMost, withTimeout } from '../../lib/timeout.ts';
import type { EndCount } from '../../live-connections.ts';
import type { Logger } from '../../log.ts';
import { mergePages } from './connection-page.ts';
import type { ConnectionPage, ConnectionQuery, ConnectionView } from './connection-page.ts';
import { mergeTopics } from './topic-counts.ts';
import type { TopicCount } from './topic-counts.ts';
import type { NodeConnections, SubscriptionEnd } from './node-connections.ts';
import type { NodeStatus } from './node-status.ts';

/** Longest wait for the replies of other nodes. */
const REPLY_TIMEOUT_MS = 2_000;
/** Longest wait for the list of nodes. During an outage of the database, that of the last request is used. */
const LIST_TIMEOUT_MS = 1_000;
/** Requests to other nodes at a time: each may hold a page of connections per node. */
const MAX_CONCURRENT_REQUESTS = 8;

/** A request to the other nodes of the cluster. JSON. */
type OperatorRequest =
  | { readonly type: 'status' }
  | { readonly type: 'topics'; readonly first: number }
  | { readonly type: 'page'; readonly query: ConnectionQuery }
  | { readonly type: 'find'; readonly id: string }
  | { readonly type: 'end'; readonly id: string }
  | { readonly type: 'endOf'; readonly account: ActorKey }
  | { readonly type: 'endSubscription'; readonly connectionId: string; readonly id: string };

/** The replies of the nodes, and the nodes that did not reply within the time. */
interface Replies<Reply> {
  readonly replies: readonly Reply[];
  readonly unreachable: readonly LiveNode[];
}

/** The one reply that is not null; undefined if no node has what was asked for. */
interface Found<Reply> {
  readonly found: Reply | undefined;
  /** Nodes that may have it. */
  readonly unreachable: readonly LiveNode[];
}

export interface OperatorsOptions {
  /** Connections that do not wait for those of requests. */
  readonly control: Db;
  readonly log: Logger;
  readonly node: LiveNode;
  /** Undefined for a single process. */
  readonly requests: NodeRequests | undefined;
  readonly connections: NodeConnections;
  readonly status: () => Omit<NodeStatus, 'connections' | 'ends'>;
  readonly countEnds: () => Promise<readonly EndCount[]>;
}

/** The operators' view of every node of the cluster. No method throws because a node does not answer. */
export class Operators implements AsyncDisposable {
  readonly #options: OperatorsOptions;
  readonly #requests = new Semaphore(MAX_CONCURRENT_REQUESTS);
  #nodes: readonly LiveNode[] | undefined;

  private constructor(options: OperatorsOptions) {
    this.#options = options;
  }

  /** Starts to answer requests of other nodes. */
  static start(options: OperatorsOptions): Operators {
    const operators = new Operators(options);
    options.requests?.handle((request) => operators.#answer(request as OperatorRequest));
    return operators;
  }

  status(): Promise<Replies<NodeStatus>> {
    return this.#askAll({ type: 'status' });
  }

  /** Returns the topics with the most subscriptions and rooms, in descending order. */
  async topics(first: number): Promise<readonly TopicCount[]> {
    const { replies } = await this.#askAll<readonly TopicCount[]>({ type: 'topics', first });
    return mergeTopics(replies, first);
  }

  async page(query: ConnectionQuery): Promise<ConnectionPage & Pick<Replies<never>, 'unreachable'>> {
    const { replies, unreachable } = await this.#askAll<ConnectionPage>({ type: 'page', query });
    return { ...mergePages(replies, query.first), unreachable };
  }

  find(id: string): Promise<Found<ConnectionView>> {
    return this.#askForOne({ type: 'find', id });
  }

  end(id: string): Promise<Found<ConnectionView>> {
    return this.#askForOne({ type: 'end', id });
  }

  /** Closes the connections of an account. The replies are their numbers. */
  endOf(account: ActorKey): Promise<Replies<number>> {
    return this.#askAll({ type: 'endOf', account });
  }

  endSubscription(connectionId: string, id: string): Promise<Found<SubscriptionEnd>> {
    return this.#askForOne({ type: 'endSubscription', connectionId, id });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const { control, node } = this.#options;
    await waitAtMost(LIST_TIMEOUT_MS, markStopped(control, node.id));
  }

  /** Answers a request on this node. Null if it has nothing of what is asked for. */
  async #answer(request: OperatorRequest): Promise<unknown> {
    const { connections, countEnds } = this.#options;
    switch (request.type) {
      case 'status':
        return {
          ...this.#options.status(),
          connections: await connections.count(),
          ends: await countEnds(),
        } satisfies NodeStatus;
      case 'topics':
        return connections.countTopics(request.first);
      case 'page':
        return connections.page(request.query);
      case 'find':
        return (await connections.find(request.id)) ?? null;
      case 'end':
        return (await connections.end(request.id)) ?? null;
      case 'endOf':
        return connections.endOf(request.account);
      case 'endSubscription':
        return (await connections.endSubscription(request.connectionId, request.id)) ?? null;
    }
  }

  async #askForOne<Reply>(request: OperatorRequest): Promise<Found<Reply>> {
    const { replies, unreachable } = await this.#askAll<Reply | null>(request);
    return { found: replies.find((reply) => reply !== null) ?? undefined, unreachable };
  }

  /** Asks this node and all others. The replies are of the type that `#answer` returns. */
  async #askAll<Reply>(request: OperatorRequest): Promise<Replies<Reply>> {
    const others = await this.#listOthers();
    const ids = others.map(({ id }) => id);
    const [own, replies] = await Promise.all([
      this.#answer(request),
      this.#requests.run(async () => this.#options.requests?.ask(request, ids, REPLY_TIMEOUT_MS)),
    ]);
    return {
      replies: [own, ...(replies?.values() ?? [])] as Reply[],
      unreachable: others.filter(({ id }) => replies?.has(id) !== true),
    };
  }

  /** Throws if the database is unavailable from the first request on. */
  async #listOthers(): Promise<readonly LiveNode[]> {
    const { requests, control, node, log } = this.#options;
    if (requests === undefined) return [];
    try {
      this.#nodes = await withTimeout(LIST_TIMEOUT_MS, listLiveNodes(control));
    } catch (error) {
      if (this.#nodes === undefined) throw error;
      log.warn({ err: error }, 'reading the list of nodes failed: the last known nodes are asked');
    }
    return this.#nodes.filter(({ id }) => id !== node.id);
  }
}

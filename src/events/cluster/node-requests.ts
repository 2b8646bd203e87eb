import type { Message, Notifier } from '../../db/notifier.ts';
import { asciiJson } from '../../lib/ascii-json.ts';
import { startTimer } from '../../lib/timeout.ts';
import type { Logger } from '../../log.ts';
import { Chunks, cutText } from './chunks.ts';

/** The channel of requests. Nodes of older versions do not listen to it. */
const REQUEST_CHANNEL = 'parley_requests';
/** Longer requests and replies are not sent. */
const MAX_TEXT_LENGTH = 1024 * 1024;
/** Reserved for the header of a chunk, in bytes. */
const HEADER_BYTES = 64;
const HEADER = /^([0-9a-f]+) (\d+) (\d+)\/(\d+) /;

/** Returns the reply to a request of another node, as JSON. */
export type RequestHandler = (request: unknown) => Promise<unknown>;

/** Requests between the nodes of a cluster, over its bus. Every sender on the bus is a node. */
export interface NodeRequests {
  /** Sets the handler of requests. Until then, and when it throws, this node counts as one that did not reply. */
  handle(handler: RequestHandler): void;
  /**
   * Sends a request to all other nodes, and resolves with the replies of the given ones by their ids: of all, or of those
   * that have replied after `timeoutMs`. Of none while the bus is disconnected.
   */
  ask(request: unknown, nodeIds: readonly string[], timeoutMs: number): Promise<ReadonlyMap<string, unknown>>;
}

export interface NodeRequestsOptions {
  readonly nodeId: string;
  /** Identifies this node on the bus. */
  readonly origin: string;
  readonly notifier: Pick<Notifier, 'maxTextBytes' | 'send'>;
  readonly log: Logger;
}

interface Pending {
  readonly missing: Set<string>;
  readonly replies: Map<string, unknown>;
  readonly finish: () => void;
}

interface Reply {
  readonly nodeId: string;
  /** The number of the request. */
  readonly to: string;
  /** Undefined if the node could not handle the request. */
  readonly reply?: unknown;
}

const replyChannelOf = (origin: string): string => `parley_replies_${origin}`;

/** The part of the cluster that sends requests and replies, and receives those of others. */
export class NodeRequestLink implements NodeRequests {
  /** The channels to listen to. */
  readonly channels: readonly string[];
  readonly #options: NodeRequestsOptions;
  readonly #pending = new Map<string, Pending>();
  readonly #chunks = new Map<string, Chunks>();
  #handler: RequestHandler | undefined;
  #number = 0;

  constructor(options: NodeRequestsOptions) {
    this.#options = options;
    this.channels = [REQUEST_CHANNEL, replyChannelOf(options.origin)];
    for (const channel of this.channels) this.#chunks.set(channel, new Chunks());
  }

  handle(handler: RequestHandler): void {
    this.#handler = handler;
  }

  async ask(
    request: unknown,
    nodeIds: readonly string[],
    timeoutMs: number,
  ): Promise<ReadonlyMap<string, unknown>> {
    const replies = new Map<string, unknown>();
    if (nodeIds.length === 0) return replies;
    const number = this.#nextNumber();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#pending.set(number, { missing: new Set(nodeIds), replies, finish: resolve });
    const cancelTimer = startTimer(timeoutMs, resolve);
    // Disconnected: no node will reply.
    this.#send(REQUEST_CHANNEL, number, request).catch(resolve);
    await promise;
    cancelTimer();
    this.#pending.delete(number);
    return replies;
  }

  /** Called with each text received on one of the channels. */
  onText(text: string, channel: string): void {
    const match = HEADER.exec(text);
    if (match === null) return;
    const [header, from = '', number = '', index = '', count = ''] = match;
    const json = this.#chunks.get(channel)?.join({
      from,
      number,
      index: Number(index),
      count: Number(count),
      body: text.slice(header.length),
    });
    if (json === undefined) return;
    if (channel === REQUEST_CHANNEL) void this.#reply(JSON.parse(json), from, number);
    else this.#receive(JSON.parse(json) as Reply);
  }

  /** Ends all waits, when no reply can be received. */
  giveUp(): void {
    for (const { finish } of this.#pending.values()) finish();
  }

  #receive({ nodeId, to, reply }: Reply): void {
    const pending = this.#pending.get(to);
    if (pending === undefined || !pending.missing.delete(nodeId)) return;
    if (reply !== undefined) pending.replies.set(nodeId, reply);
    if (pending.missing.size === 0) pending.finish();
  }

  async #reply(request: unknown, from: string, number: string): Promise<void> {
    const { nodeId, log } = this.#options;
    try {
      const reply = await this.#handler?.(request).catch((error: unknown) => {
        log.error({ err: error }, 'failed to handle the request of another node');
      });
      await this.#send(replyChannelOf(from), this.#nextNumber(), {
        nodeId,
        to: number,
        reply,
      } satisfies Reply);
    } catch (error) {
      // The other node does not wait long.
      log.warn({ err: error }, 'failed to reply to another node');
    }
  }

  async #send(channel: string, number: string, value: unknown): Promise<void> {
    const { notifier, origin } = this.#options;
    // In ASCII a chunk has as many bytes as characters, and may end between any two.
    const text = asciiJson(JSON.stringify(value));
    if (text.length > MAX_TEXT_LENGTH) throw new Error(`A text of ${text.length} characters is too long`);
    const messages = cutText(text, notifier.maxTextBytes - HEADER_BYTES).map(
      (chunk, index, { length: count }): Message => ({
        channel,
        text: `${origin} ${number} ${index}/${count} ${chunk}`,
      }),
    );
    await notifier.send(messages);
  }

  #nextNumber(): string {
    this.#number += 1;
    return String(this.#number);
  }
}

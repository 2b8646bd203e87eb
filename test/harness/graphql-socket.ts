import { WebSocket } from 'ws';
import { createReceiveQueue } from '../../src/testing/receive-queue.ts';

/** A GraphQL WebSocket. The test writes and reads every frame. */
export interface GraphqlSocket extends AsyncDisposable {
  readonly socket: WebSocket;
  send(frame: unknown): void;
  /** Resolves with the next frame, or the first that matches. Rejects after the timeout (15 s by default). */
  next(
    matches?: (frame: Record<string, unknown>) => boolean,
    timeoutMs?: number,
  ): Promise<Record<string, unknown>>;
  /** Resolves with the next frame of a type. */
  nextOf(type: string): Promise<Record<string, unknown>>;
  /** Returns the queued frames without taking them. */
  pending(): readonly Record<string, unknown>[];
  waitForClose(): Promise<{ code: number; reason: string }>;
}

/** Opens a GraphQL WebSocket. With a payload, also initialises the connection. */
export async function openGraphqlSocket(url: string, init?: Record<string, unknown>): Promise<GraphqlSocket> {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/graphql`, 'graphql-transport-ws');
  const frames = createReceiveQueue<Record<string, unknown>>('frames');
  const closes = createReceiveQueue<{ code: number; reason: string }>('close');
  socket.on('message', (data: Buffer) => frames.push(JSON.parse(data.toString())));
  socket.on('close', (code, reason) => closes.push({ code, reason: reason.toString() }));
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  const graphqlSocket: GraphqlSocket = {
    socket,
    send: (frame) => socket.send(typeof frame === 'string' ? frame : JSON.stringify(frame)),
    next: frames.next,
    nextOf: (type) => frames.next((frame) => frame['type'] === type),
    pending: () => frames.pending(),
    waitForClose: () => closes.next(),
    async [Symbol.asyncDispose]() {
      socket.terminate();
    },
  };
  if (init !== undefined) {
    graphqlSocket.send({ type: 'connection_init', payload: init });
    const refused = new Promise<never>((_resolve, reject) =>
      socket.once('close', (code, reason) =>
        reject(new Error(`connection_init: ${code} ${reason.toString()}`)),
      ),
    );
    refused.catch(() => undefined);
    await Promise.race([graphqlSocket.nextOf('connection_ack'), refused]);
  }
  return graphqlSocket;
}

import { io } from 'socket.io-client';
import type { Ledger } from './delivery-log.ts';
import { insist } from './test-accounts.ts';
import type { World } from './test-accounts.ts';

const ANSWER_MS = 4_000;
const SEND = `mutation ($id: ID!, $text: String!, $key: String!) {
  sendMessage(conversationId: $id, text: $text, idempotencyKey: $key) { message { id } }
}`;

/** Sends texts one after the other, each until it is acknowledged, with a key that makes repeating harmless. */
export type Writer = (world: World, ledger: Ledger, texts: Iterable<string>) => Promise<void>;

const keyOf = (text: string): string => text.slice(0, 32);

export const writeByGraphql: Writer = async (world, ledger, texts) => {
  for (const text of texts) {
    const answer = await insist(world, world.ann, SEND, {
      id: world.conversation.id,
      text,
      key: keyOf(text),
    });
    if (answer === undefined || 'code' in answer) throw new Error(`Not sent: ${JSON.stringify(answer)}`);
    ledger.acknowledge(text);
  }
};

export const writeBySocket: Writer = async (world, ledger, texts) => {
  const socket = io(world.url, { forceNew: true, reconnectionDelayMax: 500, transports: ['websocket'] });
  // Answers come in order: of what was asked on an earlier connection nobody hears any more.
  let answered = Promise.withResolvers<boolean>();
  socket.on('success', () => answered.resolve(true));
  socket.on('error', () => answered.resolve(false));
  socket.on('disconnect', () => answered.resolve(false));
  const request = async (channel: string, payload: object): Promise<boolean> => {
    answered = Promise.withResolvers<boolean>();
    const timer = setTimeout(() => answered.resolve(false), ANSWER_MS);
    socket.emit(channel, payload);
    const isDone = await answered.promise;
    clearTimeout(timer);
    // An answer that comes too late would be taken for that of the next request.
    if (!isDone && socket.connected) socket.disconnect();
    return isDone;
  };
  const connected = async (): Promise<void> => {
    while (!socket.connected || !(await request('authenticate', { token: world.ann.token }))) {
      if (!socket.active) socket.connect();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  await connected();
  for (const text of texts) {
    const payload = {
      conversation_id: world.conversation.legacyId,
      text_message: text,
      client_message_id: keyOf(text),
    };
    while (!(await request('message', payload))) await connected();
    ledger.acknowledge(text);
  }
  socket.close();
};

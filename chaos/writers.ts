import { io } from 'socket.io-client';
import type { DeliveryLog } from './delivery-log.ts';
import { requestUntilAvailable } from './test-accounts.ts';
import type { TestAccounts } from './test-accounts.ts';

const TIMEOUT_MS = 4_000;
const SEND = `mutation ($id: ID!, $text: String!, $key: String!) {
  sendMessage(conversationId: $id, text: $text, idempotencyKey: $key) { message { id } }
}`;

/** Sends texts sequentially, repeating each until it is acknowledged. An idempotency key makes repeats safe. */
export type Writer = (
  accounts: TestAccounts,
  deliveryLog: Pick<DeliveryLog, 'acknowledge'>,
  texts: Iterable<string> | AsyncIterable<string>,
) => Promise<void>;

const idempotencyKeyOf = (text: string): string => text.slice(0, 32);

export const writeByGraphql: Writer = async (accounts, deliveryLog, texts) => {
  for await (const text of texts) {
    const response = await requestUntilAvailable(accounts, accounts.ann, SEND, {
      id: accounts.conversation.id,
      text,
      key: idempotencyKeyOf(text),
    });
    if (response === undefined || 'code' in response)
      throw new Error(`Not sent: ${JSON.stringify(response)}`);
    deliveryLog.acknowledge(text);
  }
};

export const writeByLegacyClient: Writer = async (accounts, deliveryLog, texts) => {
  const socket = io(accounts.url, { forceNew: true, reconnectionDelayMax: 500, transports: ['websocket'] });
  // Replies arrive in order. Requests of an earlier connection never receive one.
  let reply = Promise.withResolvers<boolean>();
  socket.on('success', () => reply.resolve(true));
  socket.on('error', () => reply.resolve(false));
  socket.on('disconnect', () => reply.resolve(false));
  const request = async (channel: string, payload: object): Promise<boolean> => {
    reply = Promise.withResolvers<boolean>();
    const timeout = setTimeout(() => reply.resolve(false), TIMEOUT_MS);
    socket.emit(channel, payload);
    const isAccepted = await reply.promise;
    clearTimeout(timeout);
    // A late reply would be mistaken for the reply to the next request.
    if (!isAccepted && socket.connected) socket.disconnect();
    return isAccepted;
  };
  const connect = async (): Promise<void> => {
    while (!socket.connected || !(await request('authenticate', { token: accounts.ann.token }))) {
      if (!socket.active) socket.connect();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  await connect();
  for await (const text of texts) {
    const payload = {
      conversation_id: accounts.conversation.legacyId,
      text_message: text,
      client_message_id: idempotencyKeyOf(text),
    };
    while (!(await request('message', payload))) await connect();
    deliveryLog.acknowledge(text);
  }
  socket.close();
};

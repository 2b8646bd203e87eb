import { setTimeout as pause } from 'node:timers/promises';
import type { DeliveryLog, FaultCounts } from './delivery-log.ts';
import type { Start } from './readers.ts';
import { readAllMessages, requestUntilAvailable } from './test-accounts.ts';
import type { TestAccounts } from './test-accounts.ts';

/** Longer than the 85 s after which a Socket.IO client counts a half-open connection as lost. */
const CATCH_UP_TIMEOUT_MS = 120_000;
const SEND_FIRST = `mutation ($id: ID!) {
  sendMessage(conversationId: $id, text: "begin") { message { legacyId conversation { eventCursor } } }
}`;

/** Sends a first message: a legacy client needs a message id to resume from. */
export async function createStart(accounts: TestAccounts): Promise<Start> {
  const response = await requestUntilAvailable<{
    sendMessage: { message: { legacyId: number; conversation: { eventCursor: string } } };
  }>(accounts, accounts.ann, SEND_FIRST, { id: accounts.conversation.id });
  if (response === undefined || 'code' in response) throw new Error('The first message could not be sent.');
  const { legacyId, conversation } = response.data.sendMessage.message;
  return { cursor: conversation.eventCursor, messageId: legacyId };
}

/** Waits until every reader has received all messages, and counts what is wrong. */
export async function countFaults(
  accounts: TestAccounts,
  start: Start,
  deliveryLog: DeliveryLog,
): Promise<FaultCounts> {
  const stored = (await readAllMessages(accounts)).filter(({ id }) => id > start.messageId);
  const deadline = performance.now() + CATCH_UP_TIMEOUT_MS;
  while (!deliveryLog.isComplete(stored) && performance.now() < deadline) await pause(100);
  return deliveryLog.countFaults(stored);
}

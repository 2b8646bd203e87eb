import * as ws from 'ws';
import { expect, test } from 'vitest';
import { requireReceiverInternals } from '../../src/lib/websocket-receiver.ts';
import { requireWsInternals } from '../../src/gateway/websocket/ws-internals.ts';

// Undocumented behaviour of ws that shared frames rely on. See docs/private-apis.md.

interface Sender {
  sendFrame(list: readonly Buffer[]): void;
}
const OriginalSender = Reflect.get(ws, 'Sender') as new (stream: object, extensions: object) => Sender;

test('the installed ws writes frames synchronously', () => {
  requireWsInternals();
});

test('a ws without a Sender is rejected at start', () => {
  expect(() => requireWsInternals({})).toThrow('ws lacks what shared frames need: Sender');
});

test('a ws that queues frames is rejected at start', () => {
  class Queueing extends OriginalSender {
    override sendFrame(list: readonly Buffer[]): void {
      setImmediate(() => super.sendFrame(list));
    }
  }
  expect(() => requireWsInternals({ Sender: Queueing })).toThrow('frames written synchronously');
});

test('a ws without the counters of its receiver is rejected at start', () => {
  requireReceiverInternals();
  expect(() => requireReceiverInternals({})).toThrow(
    'ws lacks what limits of memory need: _bufferedBytes, _messageLength',
  );
});

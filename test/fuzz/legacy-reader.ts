import { EventEmitter, once } from 'node:events';
import { WebSocket } from 'ws';
import type { TestAccount } from '../../src/testing/index.ts';

const TIMEOUT_MS = 15_000;

interface MessageFrame {
  readonly conversation_id: number;
  readonly message_id?: number;
  readonly message?: { readonly id: number };
  readonly event?: 'update' | 'delete';
}

/**
 * A legacy client in the room of a conversation, that is cut and joins again after the last message it has received. Writes
 * the packets of Socket.IO 1.x (protocol 3) or 4.x itself.
 */
export class LegacyReader {
  /** The ids of the messages in their order of arrival. */
  readonly sent: number[] = [];
  readonly deleted = new Set<number>();
  /** Whether it has joined the room. */
  isLive = false;
  readonly #url: string;
  readonly #account: TestAccount;
  readonly #conversationId: number;
  readonly #protocol: 3 | 4;
  readonly #packets = new EventEmitter();
  /** The texts of errors, of which there must be none. */
  readonly errors: string[] = [];
  #socket: WebSocket | undefined;

  constructor(url: string, account: TestAccount, conversationId: number, protocol: 3 | 4) {
    this.#url = url;
    this.#account = account;
    this.#conversationId = conversationId;
    this.#protocol = protocol;
  }

  /** Connects, and joins the room after the last message. */
  resume(): void {
    if (this.#socket !== undefined) return;
    this.isLive = false;
    const address = `${this.#url.replace('http', 'ws')}/socket.io/?EIO=${this.#protocol}&transport=websocket`;
    const socket = new WebSocket(address);
    this.#socket = socket;
    socket.on('error', () => undefined);
    socket.on('message', (data: Buffer) => {
      if (this.#socket === socket) this.#receive(socket, data.toString());
    });
  }

  cut(): void {
    this.#socket?.terminate();
    this.#socket = undefined;
    this.isLive = false;
  }

  /** Sends a message, and returns its id. Must be live. */
  async send(text: string): Promise<number> {
    const reply = once(this.#packets, 'sent', { signal: AbortSignal.timeout(TIMEOUT_MS) });
    this.#emit('message', { conversation_id: this.#conversationId, text_message: text });
    const [id] = (await reply) as [number];
    return id;
  }

  /** Resolves once the condition holds, checking it after each packet. Rejects after a timeout. */
  async waitFor(condition: () => boolean): Promise<void> {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    while (!condition())
      await once(this.#packets, 'packet', { signal }).catch((error: unknown) => {
        throw new Error(`The legacy client has received ${JSON.stringify(this)}.`, { cause: error });
      });
  }

  #emit(channel: string, payload: object): void {
    this.#socket?.send(`42${JSON.stringify([channel, payload])}`);
  }

  #receive(socket: WebSocket, packet: string): void {
    if (packet.startsWith('0') && this.#protocol === 4) socket.send('40');
    if (packet === '2') socket.send('3');
    if (packet.startsWith('40')) this.#join();
    if (packet.startsWith('42')) this.#receiveEvent(...(JSON.parse(packet.slice(2)) as [string, unknown]));
    this.#packets.emit('packet');
  }

  #join(): void {
    this.#emit('authenticate', { token: this.#account.token });
    this.#emit('join_conversation', {
      conversation_id: this.#conversationId,
      // The first message of the server is in another conversation.
      after_message_id: this.sent.at(-1) ?? 1,
    });
  }

  #receiveEvent(channel: string, payload: unknown): void {
    if (channel === 'error') this.errors.push(String(payload));
    if (channel === 'success' && String(payload).startsWith('Vous avez rejoins')) this.isLive = true;
    if (channel === 'success' && typeof payload === 'object')
      this.#packets.emit('sent', (payload as { message_id: number }).message_id);
    if (channel !== 'message') return;
    const { message, message_id: id, event } = payload as MessageFrame;
    if (message !== undefined) this.sent.push(message.id);
    if (event === 'delete' && id !== undefined) this.deleted.add(id);
  }
}

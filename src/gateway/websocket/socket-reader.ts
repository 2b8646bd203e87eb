import type { WebSocket } from 'ws';

/** Why a socket is not read: its client does not read itself, or its frames are still being handled. */
export type PauseReason = 'unread' | 'inbound';

/** Reads from a socket unless there is a reason to pause. */
export class SocketReader {
  readonly #socket: WebSocket;
  #isUnread = false;
  #isInbound = false;

  constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  isPausedFor(reason: PauseReason): boolean {
    return reason === 'unread' ? this.#isUnread : this.#isInbound;
  }

  pause(reason: PauseReason): void {
    this.#set(reason, true);
    this.#socket.pause();
  }

  resume(reason: PauseReason): void {
    this.#set(reason, false);
    if (!this.#isUnread && !this.#isInbound) this.#socket.resume();
  }

  #set(reason: PauseReason, isPaused: boolean): void {
    if (reason === 'unread') this.#isUnread = isPaused;
    else this.#isInbound = isPaused;
  }
}

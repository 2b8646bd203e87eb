import { parseSignal } from './call-protocol.ts';
import type { CallMessage, CallSignal } from './call-protocol.ts';
import type { InnerClient, Result } from './inner.ts';
import { isObject } from './problem.ts';
import type { CallHandle, CallOptions, Candidate, ConnectionEvent } from './types.ts';

/** How often a client that calls repeats `CALLING`: the other one may not be ready for signals yet. */
const CALLING_INTERVAL_MS = 1_000;
/** Longer: the apps answer each `READY` with an offer. */
const READY_INTERVAL_MS = 2_000;

/** A client has about ten; each is a line of text. */
const MAX_EARLY_CANDIDATES = 100;

const SIGNALS = 'subscription { signals { content sender { ... on User { id } ... on Device { id } } } }';
const SEND_SIGNAL =
  'mutation ($to: SignalTarget!, $content: JSON!) { sendSignal(to: $to, content: $content) }';

/** A call of `connectCall`. */
export class Call implements CallHandle {
  readonly #options: CallOptions;
  readonly #client: InnerClient;
  readonly #polite: boolean;
  #unsubscribe: () => void;
  #timer: ReturnType<typeof setInterval> | undefined;
  /** Whether offers may be sent: the other client has answered, or called. */
  #isReady = false;
  #isMakingOffer = false;
  #isSettingAnswer = false;
  #ignoresOffer = false;
  /** Candidates that arrived before the first description. */
  readonly #earlyCandidates: Candidate[] = [];
  /** Signals are handled, and sent, one after the other. */
  #received: Promise<void> = Promise.resolve();
  #sent: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(options: CallOptions) {
    this.#options = options;
    this.#client = options.client as unknown as InnerClient;
    this.#polite = options.polite ?? isPolite(options);
    const { connection } = options;
    connection.addEventListener('negotiationneeded', this.#onNegotiationNeeded);
    connection.addEventListener('icecandidate', this.#onCandidate);
    this.#unsubscribe = this.#client.subscribe(
      { query: SIGNALS },
      {
        next: ({ data }) => this.#receive(parseSignal(data)),
        error: (problem) => this.#fail(problem),
        complete: () => undefined,
      },
    );
    // Repeated until a description arrives: a client may be reachable before its subscription to signals is open.
    const greet = () => void this.#send(options.calls ? 'CALLING' : 'READY').catch(() => undefined);
    this.#timer = setInterval(greet, options.calls ? CALLING_INTERVAL_MS : READY_INTERVAL_MS);
    greet();
  }

  async hangUp(): Promise<void> {
    if (this.#isStopped) return;
    this.stop();
    await this.#send('QUITTING').catch(() => undefined);
  }

  stop(): void {
    if (this.#isStopped) return;
    this.#isStopped = true;
    clearInterval(this.#timer);
    const { connection } = this.#options;
    connection.removeEventListener('negotiationneeded', this.#onNegotiationNeeded);
    connection.removeEventListener('icecandidate', this.#onCandidate);
    this.#unsubscribe();
  }

  readonly #onNegotiationNeeded = (): void => {
    if (this.#isReady) this.#report(this.#offer());
  };

  readonly #onCandidate = ({ candidate }: ConnectionEvent): void => {
    if (candidate != null) this.#report(this.#send({ type: 'candidate', data: candidate.toJSON() }));
  };

  async #offer(): Promise<void> {
    const { connection } = this.#options;
    try {
      this.#isMakingOffer = true;
      await connection.setLocalDescription();
      await this.#sendDescription();
    } finally {
      this.#isMakingOffer = false;
    }
  }

  async #sendDescription(): Promise<void> {
    const { localDescription } = this.#options.connection;
    if (localDescription === null) return;
    const { type, sdp } = localDescription;
    await this.#send({ type: 'sdp', data: { type, ...(sdp !== undefined && { sdp }) } });
  }

  #receive(signal: CallSignal | undefined): void {
    const { accountId, participantId, otherParticipantId } = this.#options;
    if (signal === undefined || signal.senderId !== accountId || this.#isStopped) return;
    const { from, to, message } = signal;
    if (to !== undefined && participantId !== undefined && to !== participantId) return;
    if (from !== undefined && otherParticipantId !== undefined && from !== otherParticipantId) return;
    this.#received = this.#received
      .then(() => this.#handle(message))
      .catch((error: unknown) => this.#fail(error));
  }

  async #handle(message: CallMessage): Promise<void> {
    if (this.#isStopped) return;
    if (message === 'QUITTING') {
      this.stop();
      return this.#options.onHangUp?.();
    }
    if (message === 'CALLING') {
      if (!this.#options.calls) return this.#send('READY');
      // A participant that calls, too, is ready for an offer. An app that calls is not: it rings.
      return this.#options.otherParticipantId === undefined ? undefined : this.#start();
    }
    if (message === 'READY') return this.#options.calls ? this.#start() : undefined;
    if (message.type === 'candidate') return this.#addCandidate(message.data);
    clearInterval(this.#timer);
    this.#isReady = true;
    await this.#setDescription(message);
  }

  /** Sends the first offer, or sends it again: the client that is ready has not received it. */
  async #start(): Promise<void> {
    const wasReady = this.#isReady;
    this.#isReady = true;
    if (!wasReady) await this.#offer();
    else if (this.#options.connection.signalingState === 'have-local-offer') await this.#sendDescription();
    // The apps are ready once. The other client may be ready before its subscription is, and is asked again.
    if (this.#options.otherParticipantId === undefined) clearInterval(this.#timer);
  }

  async #setDescription({ data }: Extract<CallMessage, { type: 'sdp' }>): Promise<void> {
    const { connection } = this.#options;
    const isStable =
      !this.#isMakingOffer && (connection.signalingState === 'stable' || this.#isSettingAnswer);
    this.#ignoresOffer = data.type === 'offer' && !isStable && !this.#polite;
    if (this.#ignoresOffer) return;
    // That of an offer which was sent again.
    if (data.type === 'answer' && connection.signalingState !== 'have-local-offer') return;
    this.#isSettingAnswer = data.type === 'answer';
    try {
      await connection.setRemoteDescription(data);
    } finally {
      this.#isSettingAnswer = false;
    }
    // Some may belong to an offer that was lost: they fail.
    for (const candidate of this.#earlyCandidates.splice(0))
      await connection.addIceCandidate(candidate).catch(() => undefined);
    if (data.type !== 'offer') return;
    await connection.setLocalDescription();
    await this.#sendDescription();
  }

  async #addCandidate(candidate: Candidate): Promise<void> {
    const { connection } = this.#options;
    if (connection.remoteDescription === null && !this.#ignoresOffer) {
      // The description was lost, and is asked for again by `READY` or sent again by the other client.
      if (this.#earlyCandidates.length < MAX_EARLY_CANDIDATES) this.#earlyCandidates.push(candidate);
      return;
    }
    try {
      await connection.addIceCandidate(candidate);
    } catch (error) {
      // Candidates of an offer that was ignored.
      if (!this.#ignoresOffer) throw error;
    }
  }

  #send(message: CallMessage): Promise<void> {
    const { accountId, participantId: from, otherParticipantId: to } = this.#options;
    const target = accountId.startsWith('Device:') ? { deviceId: accountId } : { userId: accountId };
    const content = { message, ...(from !== undefined && { from }), ...(to !== undefined && { to }) };
    const send = () => this.#run({ to: target, content });
    const sent = this.#sent.then(send, send);
    this.#sent = sent.catch(() => undefined);
    return sent;
  }

  #run(variables: Readonly<Record<string, unknown>>): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#client.subscribe(
        { query: SEND_SIGNAL, variables },
        {
          next: ({ errors }: Result) => (errors === undefined ? resolve() : reject(new SignalError(errors))),
          error: reject,
          complete: resolve,
        },
      );
    });
  }

  #report(work: Promise<void>): void {
    work.catch((error: unknown) => this.#fail(error));
  }

  #fail(error: unknown): void {
    if (this.#isStopped) return;
    // The other client has called, but its subscription to signals is not open yet: it calls again.
    const isRepeated = error instanceof SignalError && error.code === 'UNREACHABLE';
    if (isRepeated && this.#options.connection.remoteDescription === null) return;
    this.#options.onError?.(error);
  }
}

/** Whether the client gives way. Of two with participant ids, exactly one does. */
function isPolite({ calls, participantId: own, otherParticipantId: other }: CallOptions): boolean {
  if (own === undefined || other === undefined) return !calls;
  return own.length === other.length ? own < other : own.length < other.length;
}

/** A signal that was not sent. */
class SignalError extends Error {
  override readonly name = 'SignalError';
  /** The errors of the response. */
  readonly errors: readonly unknown[];
  /** The code of the first one (docs/errors.md). */
  readonly code: unknown;

  constructor(errors: readonly unknown[]) {
    const error = isObject(errors[0]) ? errors[0] : {};
    super(`The signal was not sent. ${String(error['message'])}`);
    this.errors = errors;
    this.code = isObject(error['extensions']) ? error['extensions']['code'] : undefined;
  }
}

import { claimFile, findMediaOfFile, releaseFile, saveDetails } from '../db/media-details.ts';
import type { ClaimedFile } from '../db/media-details.ts';
import type { Db } from '../db/database.ts';
import { DomainError } from '../errors.ts';
import type { Bus } from '../events/bus.ts';
import { inspectionTopic } from '../events/event.ts';
import { startTimer } from '../lib/timeout.ts';
import type { Logger } from '../log.ts';
import { inspectFile, MissingParserError } from './inspection/inspector.ts';
import type { InspectedFile, Inspection, InspectionFailure } from './inspection/inspector.ts';
import type { MediaStorage } from './media-storage.ts';

/** Longer than an inspection takes with its reads. Doubles with each claim of a file. */
const CLAIM_MS = 120_000;
/** Claims of one file, within an hour: it may be the file that crashes nodes, and the storage may be unavailable for a while. */
const MAX_ATTEMPTS = 5;
/** Until the files of other nodes are looked for, which have stopped or are of a former release. */
const INTERVAL_MS = 60_000;

/** How an inspection ends: `retried` if the storage failed. */
export type InspectionOutcome = InspectionFailure | 'ok' | 'retried';

export interface MediaInspectionsOptions {
  readonly db: Db;
  readonly mediaStorage: Pick<MediaStorage, 'read'>;
  readonly bus: Pick<Bus, 'publish'>;
  readonly log: Logger;
  /** Counts the inspections that end. */
  readonly count?: (outcome: InspectionOutcome) => void;
  /** Default: `inspectFile`. */
  readonly inspect?: (file: InspectedFile, signal: AbortSignal) => Promise<Inspection>;
}

/**
 * Inspects uploaded images, audio and video for their dimensions, duration and preview: one file at a time on each node, in
 * a process of its own. Accounts with files that wait take turns. The database is the queue, so a file is inspected although the
 * node that received it stops.
 */
export class MediaInspections implements AsyncDisposable {
  readonly #options: MediaInspectionsOptions;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #isAwaited = false;
  #lastAccount = '';
  #checking: Promise<void> | undefined;
  #cancelTimer = (): void => undefined;

  constructor(options: MediaInspectionsOptions) {
    this.#options = options;
    this.wake();
  }

  /** Starts to inspect the files that wait for it. Returns immediately, and never throws. */
  wake(): void {
    if (this.#stop.signal.aborted) return;
    // A file that arrives during the last query of a run is inspected in the next one.
    if (this.#running !== undefined) return void (this.#isAwaited = true);
    this.#isAwaited = false;
    this.#cancelTimer();
    this.#running = this.#inspectAll()
      .catch((error: unknown) => {
        this.#options.log.warn({ err: error }, 'inspection of files failed, retrying later');
      })
      .finally(() => {
        this.#running = undefined;
        if (this.#isAwaited) return this.wake();
        if (!this.#stop.signal.aborted) this.#cancelTimer = startTimer(INTERVAL_MS, () => this.wake());
      });
  }

  /** Logs whether files cannot be inspected, because a package is missing, before the first one arrives. */
  check(): Promise<void> {
    return (this.#checking = this.#check());
  }

  async #check(): Promise<void> {
    const read = () => Promise.reject(new Error('The file is empty'));
    try {
      await inspectFile({ contentType: 'image/png', size: 0, read }, this.#stop.signal);
    } catch (error) {
      if (this.#stop.signal.aborted) return;
      if (error instanceof MissingParserError) this.#turnOff(error);
      else this.#options.log.warn({ err: error }, 'check of the inspection of files failed');
    }
  }

  /** Leaves all files to other nodes, or to this one when it is repaired. */
  #turnOff({ message }: MissingParserError): void {
    if (this.#stop.signal.aborted) return;
    this.#options.log.warn(
      { reason: message },
      'a package is missing: dimensions, duration and previews of files are not found until it is installed and the server restarted',
    );
    this.#stop.abort();
  }

  /** Resolves when no file waits, or the next one could not be inspected. */
  async settle(): Promise<void> {
    while (this.#running !== undefined) await this.#running;
  }

  /** Ends the inspection in progress, which another node repeats. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#cancelTimer();
    this.#stop.abort();
    await Promise.all([this.settle(), this.#checking]);
  }

  async #inspectAll(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const file = await claimFile(this.#options.db, { claimMs: CLAIM_MS, afterAccount: this.#lastAccount });
      if (file === undefined) return;
      this.#lastAccount = file.account;
      await this.#inspect(file);
    }
  }

  async #inspect(file: ClaimedFile): Promise<void> {
    const { db, log, count } = this.#options;
    try {
      const inspection = await this.#read(file);
      if (inspection === undefined) return;
      const { found, failure } = inspection;
      count?.(failure ?? 'ok');
      if (failure !== undefined) log.warn({ media: file.mediaId, failure }, 'inspection of a file failed');
      // The machine may be busy. The claim expires.
      if (failure === 'time' && file.attempts < MAX_ATTEMPTS) return;
      const { width = null, height = null, duration = null, preview = null } = found;
      await saveDetails(db, file, { width, height, duration, preview });
      await this.#publish(file);
    } catch (error) {
      if (error instanceof MissingParserError) this.#turnOff(error);
      // Otherwise the claim expires: the storage is unavailable, and would be for the next file, too.
      if (this.#stop.signal.aborted) return await releaseFile(db, file);
      count?.('retried');
      throw error;
    }
  }

  async #publish(file: ClaimedFile): Promise<void> {
    const { db, bus } = this.#options;
    const found = await findMediaOfFile(db, file);
    if (found === undefined) return;
    const { media, conversationId } = found;
    const ephemeral = { type: 'media-inspected', topic: inspectionTopic(conversationId), media } as const;
    bus.publish([{ kind: 'ephemeral', ephemeral }]);
  }

  /** Returns undefined without the file. */
  async #read({ storageName, contentType, size, attempts }: ClaimedFile): Promise<Inspection | undefined> {
    if (attempts > MAX_ATTEMPTS) return { found: {}, failure: 'process' };
    const { mediaStorage, inspect = inspectFile } = this.#options;
    const read: InspectedFile['read'] = (range) => mediaStorage.read(storageName, range);
    try {
      return await inspect({ contentType, size, read }, this.#stop.signal);
    } catch (error) {
      // It was deleted meanwhile, with its row. Otherwise this node has another folder than the one that stored it.
      if (error instanceof DomainError && error.code === 'NOT_FOUND') return undefined;
      throw error;
    }
  }
}

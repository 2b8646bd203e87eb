import { z } from 'zod';
import { actorKey } from '../actor.ts';
import type { ActorRef } from '../actor.ts';
import type { MediaId } from '../ids.ts';
import { createClaimsSigner } from './signed-claims.ts';

/** An upload to the storage itself that an account has started. */
export interface StartedUpload {
  readonly mediaId: MediaId;
  readonly filename: string;
  /** The declared size, in bytes. */
  readonly size: number;
  /** Under which the client uploads the file. */
  readonly storageName: string;
}

/** Texts with which an account finishes the uploads that it has started, so that the server need not store them. */
export interface UploadTickets {
  sign(account: ActorRef, upload: StartedUpload): string;
  /** Returns undefined for a text that was not signed for the account. */
  verify(account: ActorRef, ticket: string): StartedUpload | undefined;
}

const claimsSchema = z.tuple([z.number(), z.string(), z.number(), z.string()]);

export function createUploadTickets(secrets: readonly string[]): UploadTickets {
  const signer = createClaimsSigner(secrets, 'parley upload ticket 1');
  return {
    sign: (account, { mediaId, filename, size, storageName }) =>
      signer.sign(actorKey(account), [mediaId, filename, size, storageName] satisfies z.infer<
        typeof claimsSchema
      >),
    verify(account, ticket) {
      const claims = signer.verify(actorKey(account), ticket);
      if (claims === undefined) return undefined;
      const [mediaId, filename, size, storageName] = claimsSchema.parse(claims);
      return { mediaId: mediaId as MediaId, filename, size, storageName };
    },
  };
}

import type { DeviceId, UserId } from '../ids.ts';

/** Whose rows are asked for. */
export type Account =
  { readonly kind: 'user'; readonly id: UserId } | { readonly kind: 'device'; readonly id: DeviceId };

import { StartError } from '../lib/startup-error.ts';
import type { Run } from './run.ts';

/** Reads the usage report of a running gateway's legacy clients, with the ADMIN_TOKEN of the environment. */
export const run: Run = async ([days = '30', address], { PORT = '4000', ADMIN_TOKEN }) => {
  const url = address ?? `http://127.0.0.1:${PORT}`;
  const headers = new Headers(ADMIN_TOKEN === undefined ? [] : [['authorization', `Bearer ${ADMIN_TOKEN}`]]);
  const response = await fetch(new URL(`/legacy-report?days=${encodeURIComponent(days)}`, url), {
    headers,
  }).catch((error: unknown) => {
    const reason = error instanceof Error ? error.message : String(error);
    throw new StartError(`No gateway responds at ${url}: ${reason}`);
  });
  const text = await response.text();
  if (!response.ok) throw new StartError(text.trimEnd());
  return text;
};

import type { ClientOptions, Emission, Port, Report } from '../client.ts';

/** What a process with clients in it is told. Clients are numbered. */
export type Command =
  | { readonly client: number; readonly type: 'open'; readonly options: ClientOptions }
  | { readonly client: number; readonly type: 'emit'; readonly emission: Emission; readonly id?: number }
  | { readonly client: number; readonly type: 'close' };

/** What must run before clients can be opened in it. */
export interface Startable extends AsyncDisposable {
  ready(): Promise<void>;
}

/** The clients of another process. */
export interface Remote {
  /** To be called with what a client there reports. */
  hear(client: number, report: Report): void;
  open(options: ClientOptions, report: (report: Report) => void): Port;
}

export function createRemote(send: (command: Command) => void): Remote {
  const listeners = new Map<number, (report: Report) => void>();
  return {
    hear: (client, report) => listeners.get(client)?.(report),
    open(options, report) {
      const client = listeners.size;
      listeners.set(client, report);
      send({ client, type: 'open', options });
      return {
        emit: (emission, id) => send({ client, type: 'emit', emission, ...(id === undefined ? {} : { id }) }),
        close: () => send({ client, type: 'close' }),
      };
    },
  };
}

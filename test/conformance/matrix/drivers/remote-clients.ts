import type { ClientEvent, ClientHandle, ClientListener, ClientOptions, Frame } from '../client.ts';

/** A command to a process that runs clients, which are numbered. */
export type Command =
  | { readonly client: number; readonly type: 'open'; readonly options: ClientOptions }
  | { readonly client: number; readonly type: 'emit'; readonly frame: Frame; readonly id?: number }
  | { readonly client: number; readonly type: 'close' };

/** A process that must be started before clients can be opened in it. */
export interface Startable extends AsyncDisposable {
  start(): Promise<void>;
}

/** The clients of another process. */
export interface RemoteClients {
  /** Passes an event of a client on to its listener. */
  receive(client: number, event: ClientEvent): void;
  open(options: ClientOptions, onEvent: ClientListener): ClientHandle;
}

export function createRemoteClients(send: (command: Command) => void): RemoteClients {
  const listeners = new Map<number, ClientListener>();
  return {
    receive: (client, event) => listeners.get(client)?.(event),
    open(options, onEvent) {
      const client = listeners.size;
      listeners.set(client, onEvent);
      send({ client, type: 'open', options });
      return {
        emit: (frame, id) => send({ client, type: 'emit', frame, ...(id === undefined ? {} : { id }) }),
        close: () => send({ client, type: 'close' }),
      };
    },
  };
}

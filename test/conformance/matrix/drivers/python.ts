import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { requireProgram } from '../../../harness/installed-programs.ts';
import type { ClientEvent, ClientKind } from '../client.ts';
import { createRemoteClients } from './remote-clients.ts';
import type { Startable } from './remote-clients.ts';

/** Creates the kind of client that is python-socketio of the distribution. All its clients share one process. */
export function createPythonClientKind(): ClientKind & Startable {
  let child: ChildProcessByStdio<Writable, Readable, null> | undefined;
  const clients = createRemoteClients((command) => child?.stdin.write(`${JSON.stringify(command)}\n`));
  return {
    name: 'python-socketio',
    // Its `disconnect` event has no reason.
    disconnectReasons: { server: 'disconnect', network: /^disconnect$/ },
    dropsOnClose: ['polling', 'websocket', 'upgrade'],
    async start() {
      const script = join(import.meta.dirname, 'python_clients.py');
      child = spawn(requireProgram('python3-socketio'), [script], { stdio: ['pipe', 'pipe', 'inherit'] });
      createInterface(child.stdout).on('line', (line) => {
        const { client, event } = JSON.parse(line) as { client: number; event: ClientEvent };
        clients.receive(client, event);
      });
      await once(child, 'spawn');
    },
    open: clients.open,
    async [Symbol.asyncDispose]() {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
      const exit = once(child, 'exit');
      child.kill();
      await exit;
    },
  };
}

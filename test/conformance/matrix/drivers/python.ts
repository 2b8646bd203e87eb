import { spawn } from 'node:child_process';
import type { ChildProcessByStdio } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable, Writable } from 'node:stream';
import { requireProgram } from '../../../harness/installed-programs.ts';
import type { ClientKind, Report } from '../client.ts';
import { createRemote } from './remote.ts';
import type { Startable } from './remote.ts';

/** Clients of python-socketio, as the distribution has it, in a process of their own. */
export function pythonClients(): ClientKind & Startable {
  let child: ChildProcessByStdio<Writable, Readable, null> | undefined;
  const remote = createRemote((command) => child?.stdin.write(`${JSON.stringify(command)}\n`));
  return {
    name: 'python-socketio',
    // It is told no reason.
    reasons: { server: 'disconnect', network: /^disconnect$/ },
    dropsOnClose: true,
    async ready() {
      const script = join(import.meta.dirname, 'python_clients.py');
      child = spawn(requireProgram('python3-socketio'), [script], { stdio: ['pipe', 'pipe', 'inherit'] });
      createInterface(child.stdout).on('line', (line) => {
        const { client, report } = JSON.parse(line) as { client: number; report: Report };
        remote.hear(client, report);
      });
      await once(child, 'spawn');
    },
    open: remote.open,
    async [Symbol.asyncDispose]() {
      if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'exit');
      child.kill();
      await exited;
    },
  };
}

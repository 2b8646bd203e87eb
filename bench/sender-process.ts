import { fork } from 'node:child_process';
import { once } from 'node:events';
import type { Command, RoundResult } from './senders.ts';

/** Senders in a separate process. */
export interface SenderProcess extends AsyncDisposable {
  run(command: Command): Promise<RoundResult>;
}

export function startSenders(): SenderProcess {
  const child = fork(new URL('senders.ts', import.meta.url));
  return {
    async run(command) {
      const reply = once(child, 'message') as Promise<[RoundResult]>;
      child.send(command);
      return (await reply)[0];
    },
    async [Symbol.asyncDispose]() {
      child.kill();
      await once(child, 'exit');
    },
  };
}

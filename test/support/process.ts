import type { ChildProcess } from 'node:child_process';

/** Resolves once the program has printed something that fits. What it prints goes on being read. Rejects when it ends before. */
export function untilPrinted(child: ChildProcess, pattern: RegExp): Promise<void> {
  let printed = '';
  return new Promise((resolve, reject) => {
    child.stdout?.on('data', (chunk: Buffer) => {
      if (printed.length < 100_000) printed += chunk.toString();
      if (pattern.test(printed)) resolve();
    });
    child.stderr?.resume();
    child.once('error', reject);
    child.once('exit', (code) =>
      reject(new Error(`The program ended with ${String(code)}: ${printed.slice(-1000)}`)),
    );
  });
}

import type { ChildProcess } from 'node:child_process';

/** Resolves with what fits once the program has printed it. What it prints goes on being read. Rejects when it ends before. */
export function untilPrinted(child: ChildProcess, pattern: RegExp): Promise<RegExpExecArray> {
  let printed = '';
  let complaint = '';
  return new Promise((resolve, reject) => {
    child.stdout?.on('data', (chunk: Buffer) => {
      if (printed.length < 100_000) printed += chunk.toString();
      const match = pattern.exec(printed);
      if (match !== null) resolve(match);
    });
    child.stderr?.on('data', (chunk: Buffer) => (complaint = `${complaint}${chunk.toString()}`.slice(-1000)));
    child.once('error', reject);
    child.once('exit', (code) =>
      reject(new Error(`The program ended with ${String(code)}: ${printed.slice(-1000)}${complaint}`)),
    );
  });
}

/** Resolves with the address of a gateway that is starting, once it says that it listens. What it prints goes on being read. */
export async function untilListening(child: ChildProcess): Promise<string> {
  return (await untilPrinted(child, /^\{.*"url":"([^"]+)".*"msg":"listening"\}$/m))[1] ?? '';
}

import { expect } from 'vitest';
import { runExample } from './program.ts';
import type { Command } from './program.ts';
import { startServer } from './server.ts';
import { logIn, openWriter, sendMessage } from './writer.ts';

/** How many outages each example goes through: more to try by hand what the suite has no time for. */
const OUTAGES = Number(process.env.OUTAGES ?? 4);

/** What an example prints once it listens: a Socket.IO client prints the answer to `join_conversation`. */
const READY = /^StreamLive$|^success .*conversation_1$/;

/** A test that goes through these outages may take so long. */
export const OUTAGES_TIMEOUT_MS = 60_000 + OUTAGES * 30_000;

/** What an example printed of messages: it prints a line `MessageSent <text>` for each. */
const textsOf = (lines: readonly string[]): string[] =>
  lines.filter((line) => line.startsWith('MessageSent ')).map((line) => line.slice('MessageSent '.length));

/**
 * Runs an example that listens, while the server is stopped and killed in turns and messages are sent all the time.
 * Every message is printed once and in order, nothing else goes wrong, and the example goes on. Returns its lines.
 */
export async function expectEachOnce(file: string, command?: Command): Promise<readonly string[]> {
  const outcome = (await runThroughOutages([{ file, command }])).get(file);
  outcome?.expectEachOnce();
  return outcome?.lines ?? [];
}

export interface Example {
  readonly file: string;
  readonly command?: Command | undefined;
}

export interface Outcome {
  readonly lines: readonly string[];
  expectEachOnce(): void;
}

/** The same for several examples at the same server, as outages take time. Returns what each went through. */
export async function runThroughOutages(examples: readonly Example[]): Promise<ReadonlyMap<string, Outcome>> {
  await using server = await startServer();
  await using programs = new AsyncDisposableStack();
  const running = examples.map(({ file, command }) => ({
    file,
    program: programs.use(runExample(file, server.url, {}, command)),
  }));
  const allUntil = (isTrue: (lines: readonly string[]) => boolean): Promise<unknown> =>
    Promise.allSettled(running.map(({ program }) => program.until(isTrue)));
  await allUntil((lines) => lines.some((line) => READY.test(line)));
  const writer = openWriter(server.url, await logIn(server.url));
  for (let outage = 0; outage < OUTAGES; outage += 1) {
    const newest = `n${writer.sent.length + 10}`;
    await allUntil((lines) => textsOf(lines).includes(newest));
    await server.stop(outage % 2 === 0 ? 'SIGTERM' : 'SIGKILL');
    await server.start();
  }
  const sent = await writer.stop();
  await allUntil((lines) => textsOf(lines).includes(sent.at(-1) ?? ''));
  const outcomes = running.map(({ file, program }): [string, Outcome] => {
    const lines = [...program.lines];
    const errors = program.errors();
    const isRunning = program.isRunning();
    const expectEachOnce = (): void => {
      expect(errors).toBe('');
      expect(isRunning).toBe(true);
      expect(textsOf(lines)).toEqual(sent);
    };
    return [file, { lines, expectEachOnce }];
  });
  return new Map(outcomes);
}

/** Runs an example that keeps no cursor: after a restart of the server it gets what comes next. */
export async function expectWhatComesNext(file: string, command?: Command): Promise<void> {
  await using server = await startServer();
  const token = await logIn(server.url);
  await using program = runExample(file, server.url, {}, command);
  for (const [times, signal] of (['SIGTERM', 'SIGKILL'] as const).entries()) {
    await program.until((lines) => lines.filter((line) => line === 'StreamLive').length === times + 1);
    await sendMessage(server.url, token, `before ${signal}`);
    await program.until((lines) => lines.at(-1) === `MessageSent before ${signal}`);
    await server.stop(signal);
    await server.start();
  }
  await program.until((lines) => lines.filter((line) => line === 'StreamLive').length === 3);
  await sendMessage(server.url, token, 'after all');
  await program.until((lines) => lines.at(-1) === 'MessageSent after all');
  expect(program.errors()).toBe('');
}

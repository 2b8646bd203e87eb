/** Long enough that a pause of the clients' own process counts little. */
const PEAK_PERIOD_MS = 5_000;

interface Client {
  readonly reader: string;
}

/** Records when clients lose their connection, and when they are back. */
export class Movements {
  readonly #lostAt = new Map<Client, number>();
  #returns: { readonly at: number; readonly absentMs: number }[] = [];

  lost(client: Client): void {
    if (!this.#lostAt.has(client)) this.#lostAt.set(client, performance.now());
  }

  back(client: Client): void {
    const lostAt = this.#lostAt.get(client);
    if (lostAt === undefined) return;
    this.#lostAt.delete(client);
    const at = performance.now();
    this.#returns.push({ at, absentMs: at - lostAt });
  }

  /** The clients that are not back. */
  get away(): readonly string[] {
    return [...this.#lostAt.keys()].map(({ reader }) => reader);
  }

  /** Returns what happened since the last call, relative to `startedAt`. */
  take(startedAt: number) {
    const returns = this.#returns;
    this.#returns = [];
    const times = returns.map(({ at }) => at);
    return {
      returns: returns.length,
      lastBackMs: Math.round(Math.max(startedAt, ...times) - startedAt),
      longestAbsenceMs: Math.round(Math.max(0, ...returns.map(({ absentMs }) => absentMs))),
      peakPerSecond: Math.round(countPeak(times, PEAK_PERIOD_MS) / (PEAK_PERIOD_MS / 1_000)),
    };
  }
}

/** Returns the most times within any period of this length. The times are in order. */
function countPeak(times: readonly number[], periodMs: number): number {
  let [peak, first] = [0, 0];
  for (const [index, time] of times.entries()) {
    while ((times[first] ?? time) <= time - periodMs) first += 1;
    peak = Math.max(peak, index - first + 1);
  }
  return peak;
}

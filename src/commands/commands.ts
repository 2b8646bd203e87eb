import type { Run } from './run.ts';

export interface Command {
  readonly name: string;
  /** Names of the arguments, all of them optional. */
  readonly parameters: readonly string[];
  readonly description: string;
  /** Imports the command late: the server starts without it. */
  load(): Promise<{ readonly run: Run }>;
}

/** The commands beside serving: `npm run <name>` in a checkout, and `parley <name>` where the package is installed. */
export const COMMANDS: readonly Command[] = [
  {
    name: 'migrate',
    parameters: [],
    description: 'migrate the database, and exit',
    load: () => import('./migrate.ts'),
  },
  {
    name: 'renew-epoch',
    parameters: [],
    description: 'void all cursors after a restore',
    load: () => import('./renew-epoch.ts'),
  },
  {
    name: 'legacy-report',
    parameters: ['days', 'url'],
    description: 'print the usage of legacy clients',
    load: () => import('./legacy-report.ts'),
  },
];
